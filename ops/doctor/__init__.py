"""What is wrong with a site, in the order of causes: from the settings to what the page shows."""

from ops.doctor.finding import Finding
from ops.doctor.looking import look

__all__ = ["Finding", "look"]
