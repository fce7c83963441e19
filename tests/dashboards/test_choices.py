"""What is chosen survives the way through an address, whatever somebody types there."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboards.choices import MAX_RUN, Choices, Mode, passed_over

BOOKS = st.tuples(st.integers(0, MAX_RUN), st.none() | st.from_regex(r"[A-Za-z0-9._-]{1,60}", fullmatch=True))
NO_BOOK = st.just((None, None))


FILES = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,79}", fullmatch=True)


def _choices(
    shown: tuple[int | None, str | None], reference: tuple[int | None, str | None] | str, **others: Any
) -> Choices:
    run, session = shown
    if isinstance(reference, str):
        return Choices(run=run, session=session, reference_file=reference, **others)
    other, other_session = reference
    return Choices(run=run, session=session, reference=other, reference_session=other_session, **others)


CHOICES = st.builds(
    _choices,
    NO_BOOK | BOOKS,
    NO_BOOK | BOOKS | FILES,
    window=st.none() | st.integers(-1, MAX_RUN),
    mode=st.sampled_from(Mode),
    log=st.none() | st.frozensets(st.sampled_from("xyz")),
    errors=st.booleans(),
    frozen=st.none() | st.integers(1, 10**14 - 1),
)


@given(CHOICES)
def test_an_address_opens_what_it_was_made_of(choices: Choices) -> None:
    assert Choices.of(choices.search()) == choices


@given(st.text())
def test_any_address_can_be_read(search: str) -> None:
    Choices.of(search)


@pytest.mark.parametrize(
    "search",
    [
        *(None, "", "?", "?run=-1", "?run=9e9", "?run=²", "?run=99999999999999999999", "?run=00000000000099999999999"),
        *("?run=5.", "?run=.live", "?run=5.{live:0}", "?reference=5.a:b", "?mode=loud", "?errors=yes"),
        *("?reference=tof.root", "?reference=file:../tof", "?reference=file:.hidden", "?reference=file:a%00b"),
    ],
)
def test_what_cannot_be_is_passed_over(search: str | None) -> None:
    assert Choices.of(search) == Choices()


@pytest.mark.parametrize(
    ("search", "names"),
    [
        ("?run=abc&window=x&mode=loud&from=mail", ("run", "window", "mode")),
        ("?run=9e9&reference=none", ("run",)),
        ("?run=5.live&window=last&reference=6&mode=shape&log=linear&errors=1&rotate=30&frozen=7", ()),
        ("?run=&frozen=", ()),
    ],
)
def test_what_an_address_says_that_cannot_be_is_named(search: str, names: tuple[str, ...]) -> None:
    assert passed_over(search) == names


@given(CHOICES)
def test_nothing_is_named_of_an_address_that_the_page_made(choices: Choices) -> None:
    assert passed_over(choices.search()) == ()


def test_a_plot_decides_on_its_scale_until_somebody_does() -> None:
    assert Choices().is_log("y", usual=True)
    assert not Choices.of("?log=linear").is_log("y", usual=True)
    assert Choices.of("?log=xz").is_log("z")
