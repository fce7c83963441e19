"""What somebody may do."""

from enum import StrEnum


class Role(StrEnum):
    """Each may do what those before it may."""

    VIEWER = "viewer"
    """Looks; needs no log-in."""
    SHIFTER = "shifter"
    """Flags."""
    EXPERT = "expert"
    """Decides on references and limits."""
    ADMIN = "admin"

    @property
    def included(self) -> tuple["Role", ...]:
        """It, and those before it."""
        every = tuple(Role)
        return every[: every.index(self) + 1]

    def may(self, needed: "Role") -> bool:
        """Say whether it may do what needs another."""
        return needed in self.included
