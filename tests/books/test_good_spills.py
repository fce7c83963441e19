"""Which spills are good by a rule."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.records import Action
from streams.books import flags
from streams.books.flags import ALL, END, Flags, Verdict
from streams.books.good_spills import Rule, canonical, choose, good_spills, ranges, read_rules
from streams.errors import UsageError
from tests.books.test_flags import BAD, GOOD, UNKNOWN, flagged, known

SPILLS = range(20)
RULES = """
[[tof_and_trackers]]
version = 1
good = ["tof"]
not_bad = []

[[tof_and_trackers]]
version = 2
good = ["tof", "tracker"]
"""


def names(*good: str, not_bad: tuple[str, ...] | None = None) -> Rule:
    return Rule(version=1, good=good, not_bad=not_bad)


def good(rule: Rule, *actions: Action) -> list[list[int]]:
    return ranges(good_spills(rule, known(*actions), SPILLS))


def test_what_a_rule_names_must_be_flagged_good_and_nothing_else_bad() -> None:
    both = names("tof", "tracker")
    assert good(both) == []
    assert good(both, flagged(1, GOOD, "tof")) == []  # nobody looked at the trackers
    said = flagged(1, GOOD, "tof"), flagged(2, GOOD, "tracker", 5, 30)
    assert good(both, *said) == [[5, 19]]
    assert good(both, *said, flagged(3, UNKNOWN, "kl")) == [[5, 19]]
    assert good(both, *said, flagged(3, BAD, "kl", 7, 8)) == [[5, 6], [9, 19]]
    assert good(both, *said, flagged(3, BAD, ALL, 10, END)) == [[5, 9]]
    assert good(names("tof", "tracker", not_bad=()), *said, flagged(3, BAD, ALL, 10, END)) == [[5, 19]]
    assert good(names("tof", not_bad=("emr",)), *said, flagged(3, BAD, "kl")) == [[0, 19]]
    assert good(both, flagged(1, GOOD)) == [[0, 19]]


DETECTORS = ("tof", "tracker", "kl", ALL)
ACTIONS = st.lists(st.tuples(st.sampled_from(Verdict), st.sampled_from(DETECTORS), st.integers(0, 19)), max_size=6)


@given(ACTIONS)
def test_it_is_as_if_each_spill_were_asked_by_itself(said: list[tuple[Verdict, str, int]]) -> None:
    its = known(*(flagged(n, *each, END) for n, each in enumerate(said)))

    def holds(detector: str, spill: int) -> Verdict | None:
        for lane in (detector, ALL):
            for verdict, of, first in reversed(said):
                if of == lane and first <= spill:
                    return verdict
        return None

    def is_good(spill: int) -> bool:
        others = [holds(name, spill) for name in ("kl", "tracker", "emr")]
        return holds("tof", spill) is Verdict.GOOD and Verdict.BAD not in others

    assert good_spills(names("tof"), its, SPILLS) == [spill for spill in SPILLS if is_good(spill)]


def test_a_rule_has_versions_of_which_the_newest_is_meant_and_edits_are_told(tmp_path: Path) -> None:
    file = tmp_path / "rules.toml"
    file.write_text(RULES)
    rules = read_rules(file)
    newest, first = choose(rules, "tof_and_trackers"), choose(rules, "tof_and_trackers@1")
    assert (newest.rule.version, newest.rule.good) == (2, ("tof", "tracker"))
    assert first.rule.not_bad == ()
    file.write_text(RULES.replace("not_bad = []", 'not_bad = ["kl"]'))
    edited = choose(read_rules(file), "tof_and_trackers@1")
    assert edited.to_json()["digest"] != first.to_json()["digest"]
    assert choose(read_rules(file), "tof_and_trackers").to_json() == newest.to_json()


@pytest.mark.parametrize(
    ("text", "asked", "why"),
    [
        (RULES, "none", "there is no rule none: there are tof_and_trackers"),
        (RULES, "tof_and_trackers@3", "has no version 3: it has 1, 2"),
        (RULES.replace("version = 2", "version = 1"), "x", "tof_and_trackers has a version twice"),
        (RULES.replace('"tof"]', '"toff"]'), "x", "there is no detector toff: there are"),
        (RULES.replace('["tof"]', "[]"), "x", "tof_and_trackers.0.good"),
        (RULES.replace("version = 2", "versoin = 2"), "x", "versoin"),
        ("[[", "x", "is no TOML"),
    ],
)
def test_what_is_wrong_with_rules_is_said(tmp_path: Path, text: str, asked: str, why: str) -> None:
    file = tmp_path / "rules.toml"
    file.write_text(text)
    with pytest.raises(UsageError, match=why.replace("[", r"\[")):
        choose(read_rules(file), asked)


def test_equal_values_are_equal_bytes() -> None:
    values = {"b": [1, "é"], "a": None}
    assert canonical(values) == canonical(dict(reversed(values.items()))) == '{"a":null,"b":[1,"\\u00e9"]}'
    assert json.loads(canonical(values)) == values


def test_no_flags_are_none() -> None:
    nobody: Flags = ()
    assert flags.intervals(nobody, "tof") == []
    assert good_spills(names("tof"), nobody, SPILLS) == []
