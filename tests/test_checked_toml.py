"""What is wrong with a file that an expert edits is said with its line, its name and its value."""

import pytest

from streams.books.limits import TypeLimits, parse_limits
from streams.checked_toml import LINES_OF_BYTES
from streams.errors import UsageError

FIRST = "[cosmics]\nonly_warns = true\n\n[physics]\n"
"""Four lines that are right."""


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("matters = 5", "physics.matters (line 5) is 5: it must be at most 1"),
        ("matters = -0.1", "physics.matters (line 5) is -0.1: it must be more than 0"),
        ("matters = nan", "physics.matters (line 5) is NaN, which is no number"),
        ("matters = true", "physics.matters (line 5) is true, which is no number"),
        ('matters = "0.05"', 'physics.matters (line 5) is "0.05", which is no number'),
        ("only_warns = 1", "physics.only_warns (line 5) is 1, which is neither true nor false"),
        ("maters = 0.05", "physics.maters (line 5) is not known"),
        ("plots.hspxy_2 = 0.2", "physics.plots.hspxy_2 (line 5) is 0.2, which is no table"),
        ("percent = 3\nplots.hspxy_99.judged = false", "physics.plots.hspxy_99 (line 6) is no plot"),
        ("# \u2028 ends no line\npercent = 500", "physics.percent (line 6) is 500: it must be at most 100"),
        # Which line of several is meant nobody says.
        ("plots.hspxy_2.matters = [\n1,\n]", "physics.plots.hspxy_2.matters is [1], which is no number"),
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_what_is_wrong_is_said_with_line_name_and_value(line: str, said: str, end: str) -> None:
    text = f"{FIRST}{line}\n[calibration]\nmatters = 0.2\n".replace("\n", end).encode()
    with pytest.raises(UsageError) as refused:
        parse_limits(text, "The file")
    assert str(refused.value).startswith(f"The file is wrong: {said}")


def test_a_mark_that_an_editor_puts_before_the_text_is_passed_over() -> None:
    assert parse_limits(b"\xef\xbb\xbf[physics]\nmatters = 1\n", "The file") == {"physics": TypeLimits(matters=1.0)}


def test_of_a_long_file_the_name_is_said_alone() -> None:
    long = b"#" * LINES_OF_BYTES + b"\n[physics]\nmatters = 5\n"
    with pytest.raises(UsageError, match=r"physics\.matters is 5: it must be at most 1"):
        parse_limits(long, "The file")
