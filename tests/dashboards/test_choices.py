"""What is chosen survives the way through an address, whatever somebody types there."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboards.choices import MAX_RUN, Choices, Mode

RUNS = st.none() | st.integers(0, 2**31 - 1)
CHOICES = st.builds(
    Choices,
    run=RUNS,
    window=st.none() | st.integers(-1, MAX_RUN),
    reference=RUNS,
    mode=st.sampled_from(Mode),
    log=st.none() | st.frozensets(st.sampled_from("xyz")),
    errors=st.booleans(),
    frozen=st.booleans(),
)


@given(CHOICES)
def test_an_address_opens_what_it_was_made_of(choices: Choices) -> None:
    assert Choices.of(choices.search()) == choices


@given(st.text())
def test_any_address_can_be_read(search: str) -> None:
    Choices.of(search)


@pytest.mark.parametrize(
    "search", [None, "", "?", "?run=-1", "?run=9e9", "?run=²", "?run=99999999999999999999", "?mode=loud", "?errors=yes"]
)
def test_what_cannot_be_is_passed_over(search: str | None) -> None:
    assert Choices.of(search) == Choices()


def test_a_plot_decides_on_its_scale_until_somebody_does() -> None:
    assert Choices().is_log("y", usual=True)
    assert not Choices.of("?log=linear").is_log("y", usual=True)
    assert Choices.of("?log=xz").is_log("z")
