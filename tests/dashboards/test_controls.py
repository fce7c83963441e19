"""What can be chosen, and what stands behind the counters."""

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from dashboards.choices import Choices
from dashboards.data import Automatic, Reference, RunSummary, View
from dashboards.pages.controls import controls, previous_of_type
from dashboards.pages.dialogs import KEYS, RUNS_LISTED, counted, runs_list
from dashboards.pages.strip import banners, strip
from schemas.records import TIME
from streams.books.run import spill_facts
from streams.books.windows import Window
from tests.dashboards.views import RUN, run_book, text_of, view


def runs(*types: str) -> tuple[RunSummary, ...]:
    first, hour_us, begin_us = RUN - len(types) + 1, 3_600_000_000, 1_700_000_000_000_000
    return tuple(
        RunSummary(run=first + n, run_type=t, begin_us=begin_us + n * hour_us, ended=n + 1 < len(types))
        for n, t in enumerate(types)
    )


def links(component: Any) -> dict[str, str]:
    """Return the links of a layout: what they say → what they choose."""
    if isinstance(component, list | tuple):
        return {words: what for each in component for words, what in links(each).items()}
    props = getattr(component, "to_plotly_json", dict)().get("props", {})
    found = links(props["children"]) if isinstance(props.get("children"), list | tuple) else {}
    return found | ({text_of(component): props["data-set"]} if "data-set" in props else {})


def chosen(names: list[str], shown: View | None = None, **choices: Any) -> dict[str, str]:
    return links(controls(shown or view(run_book(), runs=runs("A", "B", "A", "A")), Choices(**choices), names))


def test_29_earlier_and_later_runs_are_one_step_away() -> None:
    middle = view(run_book(), runs=runs("A", "A", "A"), run=RUN - 1)
    assert chosen(["ht01"], middle)["‹"] == f"run={RUN - 2}&frozen="
    assert chosen(["ht01"], middle)["›"] == f"run={RUN}&frozen="
    assert "›" not in chosen(["ht01"])


def test_29_the_list_of_runs_has_the_newest_first_and_is_bounded() -> None:
    many = view(run_book(), runs=runs(*["PHYSICS"] * 130))
    rows = runs_list(many)
    assert len(rows) == RUNS_LISTED
    assert text_of(rows[0]).startswith(f"Run {RUN} PHYSICS live")
    assert "ended" in text_of(rows[1])


@pytest.mark.parametrize(("types", "before"), [("AAB", 1), ("ABA", 2), ("BAA", 1), ("BBA", 1)])
def test_14_the_run_before_is_of_the_same_type_if_there_is_one(types: str, before: int) -> None:
    assert previous_of_type(view(run_book(), runs=runs(*types))) == RUN - before
    assert previous_of_type(view(run_book(), runs=runs("A"))) is None


def test_13_the_reference_says_its_run_its_age_and_why() -> None:
    earlier = Reference.of_run(RUN - 2, None, run_book(), spill_facts(run_book().ledger), chosen=False)
    shown = view(
        run_book(),
        runs=runs("A", "A", "A"),
        reference=earlier,
        automatic=Automatic(run=RUN - 2, passed_over={RUN - 1: "has not ended"}),
    )
    said = text_of(controls(shown, Choices(), ["ht01"]))
    assert f"Run {RUN - 2}, 2 h 0 min earlier newest good one of its type Shape Spills Absolute Ratio" in said
    assert chosen(["ht01"], shown)["✕"] == "reference=none&mode="
    assert f"Passed over: run {RUN - 1} (has not ended)." in str(controls(shown, Choices(), ["ht01"]))
    off = replace(shown, reference=None)
    assert chosen(["ht01"], off, compare=False)[f"Run {RUN - 2}"] == "reference="
    none_good = replace(off, automatic=Automatic(passed_over={RUN - 1: "has not ended"}))
    assert chosen(["ht01"], none_good)[f"Run {RUN - 1}"] == f"reference={RUN - 1}"
    assert "no good run of its type" in text_of(controls(none_good, Choices(), ["ht01"]))


def test_1_the_expected_rate_is_the_settings_or_that_of_the_reference() -> None:
    reference = Reference.of_run(7, None, run_book(), spill_facts(run_book().ledger), chosen=False)
    assert "Rate, 1/s 0.39 Triggers" in text_of(strip(view(run_book())))
    assert "Rate / expected, 1/s 0.39 / 0.39 Triggers" in text_of(strip(view(run_book(), reference=reference)))
    assert "0.39 / 0.50" in text_of(strip(view(run_book(), reference=reference, expected_rate=0.5)))


def test_16_a_switch_of_the_scale_begins_with_what_the_plots_show() -> None:
    assert chosen(["ht01"])["y"] == "log=y"
    assert chosen(["hPMT1"])["y"] == "log=linear"
    assert chosen(["hPMT1", "ht01"])["y"] == "log=y"
    assert chosen(["ht01"], log=frozenset("xy"))["y"] == "log=x"
    assert {"x", "z"} <= chosen(["hspxy_0"]).keys()
    assert "y" not in chosen(["hspxy_0"])
    assert "z" not in chosen(["ht01"])


def test_20_a_step_through_the_windows_goes_from_the_newest_back_and_ends_at_the_ends() -> None:
    shown = view(run_book(), windows=tuple(Window(start, 60) for start in (60, 120, 180)))
    assert chosen(["ht01"], shown)["‹"] == "window=180"
    assert chosen(["ht01"], shown, window=180)["‹"] == "window=120"
    assert chosen(["ht01"], shown, window=120)["›"] == "window=180"
    assert "‹" not in chosen(["ht01"], shown, window=60)
    assert "‹" not in chosen(["ht01", "ht12"], shown)


def test_31_to_freeze_names_the_run_and_to_go_on_follows_the_live_one() -> None:
    assert chosen(["ht01"])["Freeze"] == f"frozen=now&run={RUN}"
    assert chosen(["ht01"], frozen=1)["Go on"] == "frozen=&run="
    old = view(run_book(), runs=runs("A", "A"), current=RUN + 1)
    assert chosen(["ht01"], old, frozen=1)["Go on"] == "frozen="


def test_40_a_live_run_is_offered_to_who_looks_at_another() -> None:
    assert banners(view(run_book())) == []
    assert f"Run {RUN + 1} is live" in text_of(banners(view(run_book(), current=RUN + 1)))


def test_40_an_address_that_says_what_cannot_be_is_told_and_mended() -> None:
    told = banners(view(run_book()), Choices(), ("run", "mode"))
    assert "What the address says of run and mode cannot be chosen" in text_of(told)
    assert links(told)["Leave it out"] == "run=&mode="


def test_40_a_run_that_has_ended_is_not_called_live() -> None:
    runs = [RunSummary(run=RUN + n, run_type="", begin_us=n, ended=bool(n)) for n in range(2)]
    said = text_of(banners(view(run_book(), current=RUN + 1, runs=runs)))
    assert f"Run {RUN + 1} was the last one, and has ended, you look at run {RUN}" in said


def test_4_the_counters_are_listed() -> None:
    stored = run_book()
    ledger = {n: entry for n, entry in stored.ledger.items() if n not in {2, 3, 5}}
    reasons = {5: ["unpack", "LDC 1 lacks"], 6: ["json", "no text"], 7: ["unpack", "LDC 1 lacks"]}
    totals = replace(stored.totals, duplicates=4, rejected=Counter(unpack=2), refused=[5, 6, 7], reasons=reasons)
    said = text_of(counted(view(replace(stored, ledger=ledger, totals=totals), behind=1)))
    assert "Missing Spills 2–3. Some of them may still be on their way." in said
    assert "4 came again with the same bytes" in said
    rejected = "unpack: 2 Spills 5–7 are in no plot for it. Spills 5, 7: unpack: LDC 1 lacks Spill 6: json: no text"
    assert f"{rejected} each with its bytes: spilldeck rejected list --run {RUN}" in said
    assert text_of(counted(view(stored))).startswith("Missing none ")


def test_a_time_that_was_replaced_is_counted_and_listed() -> None:
    stored = run_book()
    shown = view(replace(stored, totals=replace(stored.totals, errors=Counter({TIME: 2}))))
    assert "Errors 2" in text_of(strip(shown))
    assert "Time, impossible and replaced: 2 spills" in text_of(counted(shown))


def test_32_the_help_has_every_key_of_the_page() -> None:
    assert {key for keys, _ in KEYS for key in keys.split()} == {*"?/np[]wlbfasec", "space", "Esc"}
