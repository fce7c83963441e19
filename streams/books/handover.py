"""The hand-over: what happened in a shift, for whoever comes next; one content, as Markdown and as a page.

It fits on two sheets of paper: of what there is more of than fits, the rest is counted and never left out in silence.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from schemas.records import NO_RUN
from streams.books.alarms import Alarm, Alarms, by_priority
from streams.books.changed import ALL, Changed, Moved
from streams.books.checklists import Answer, Checklist, Checklists
from streams.books.duties import Duty
from streams.books.flags import Flags, Shares
from streams.books.issues import Issue, Issues
from streams.books.named import PLOT
from streams.books.notes import Note, Notes
from streams.books.shapes import PlotVerdict, percent, where
from streams.experiment import experiment
from streams.printable import printable
from streams.words import calendar_time, several

MOST_RUNS, MOST_ALARMS, MOST_ISSUES, MOST_PLOTS, MOST_CHANNELS = 9, 12, 6, 5, 5
MOST_UNREAD, MOST_NOTES, MOST_DECIDED, MOST_CHECKLISTS, MOST_UNDONE, MOST_LIMITS = 4, 5, 3, 3, 4, 1
"""That are listed: with all of them it fits on two sheets."""
LONGEST = 100
"""Characters of a cell."""
LONGEST_CHECKLIST = 200
"""Characters of what was no, was not known, or was said by somebody."""
_US = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ShiftRun:
    """A run of the shift, or the one before that it is compared with."""

    run: int
    run_type: str
    state: str
    first_ms: int
    """When its first message came, Unix milliseconds."""
    produced_ms: int
    """When its newest message came."""
    spills: int
    rejected: int
    missing: int
    triggers: int
    shares: Shares
    """How many of its spills are flagged what; none at all if that cannot be read."""
    flags: Flags
    code: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """The last run of the shift, held against the last one before of its type."""

    run: int
    other: int | None
    why: str = ""
    """Why nothing can be compared; empty if it can."""
    tables: tuple[str, ...] = ()
    """Kinds of tables in which they differ."""
    code: tuple[frozenset[str], frozenset[str]] = (frozenset(), frozenset())
    """Versions of the code that made this one, and the other."""
    changed: Changed = field(default_factory=Changed)


class LimitsThen(NamedTuple):
    """The limits of a type of runs, held against those of the shift before."""

    run_type: str
    run: int | None
    """The last one of the type before the shift of which it is known by what it was judged; None if there is none."""
    changed: tuple[str, ...]
    """Limits that are others now, in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """What is known of a shift."""

    since_us: int
    until_us: int
    runs: Sequence[ShiftRun]
    """In the order in which they came."""
    alarms: Alarms
    issues: Issues
    notes: Notes
    checklists: Checklists
    undone: Sequence[Duty]
    """Checklists that fell due in it and were not sent, in order."""
    decided: Sequence[str]
    """What people decided in it of references, replays and runs, a sentence each."""
    files: Mapping[str, int]
    """Name of a file that experts edit and that was written in it → when, microseconds since 1970 UTC."""
    compared: Compared | None
    """None if no run came."""
    limits: Sequence[LimitsThen] = ()
    """Of the types of its runs, that of the last run first."""
    current: int | None = None
    """The run that is being taken, or was last: of whichever shift."""
    unreadable: Sequence[str] = ()
    """What could not be read, and why."""


class Table(NamedTuple):
    """Rows of cells, below their heads."""

    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the hand-over."""

    title: str
    lines: tuple[str, ...] = ()
    table: Table | None = None
    after: tuple[str, ...] = ()
    """Lines below the table."""


@dataclass(frozen=True, slots=True)
class Report:
    """The hand-over."""

    title: str
    sections: tuple[Section, ...]


def report(shift: Shift) -> Report:
    """Return what the next shift needs to know."""
    hours = (shift.until_us - shift.since_us) / 3600 / _US
    title = f"{experiment().title}: hand-over of the last {hours:g} hours, {_time(shift.since_us)} to "
    found = (_runs(shift), _alarms(shift), _issues(shift), _notes(shift), _checklists(shift), _changed(shift))
    return Report(f"{title}{_time(shift.until_us)} UTC", (*_unreadable(shift), *found))


def markdown(its: Report) -> str:
    """Return a report as Markdown."""
    parts = [f"# {_escaped(its.title)}"]
    for section in its.sections:
        parts.append(f"## {_escaped(section.title)}")
        parts += ["\n".join(f"- {_escaped(line)}" for line in section.lines)] if section.lines else []
        if section.table is not None:
            heads, rows = section.table
            lines = [heads, ("---",) * len(heads), *(tuple(map(_escaped, row)) for row in rows)]
            parts.append("\n".join(f"| {' | '.join(line)} |" for line in lines))
        parts += ["\n".join(f"- {_escaped(line)}" for line in section.after)] if section.after else []
    return "\n\n".join(parts) + "\n"


def _unreadable(shift: Shift) -> tuple[Section, ...]:
    lines = [_short(each, 2 * LONGEST) for each in shift.unreadable[:MOST_UNREAD]]
    left = len(shift.unreadable) - MOST_UNREAD
    lines += [f"{left:,} more."] if left > 0 else []
    return (Section("Could not be read", tuple(lines)),) if lines else ()


def _runs(shift: Shift) -> Section:
    if not shift.runs:
        return Section("Runs", ("No run came.",))
    spills, bad = sum(each.spills for each in shift.runs), sum(each.shares.bad for each in shift.runs)
    unseen = sum(each.shares.unseen for each in shift.runs)
    lead = f"{several(len(shift.runs), 'run')}, {several(spills, 'spill')} in the plots, {bad:,} flagged bad, "
    rows = tuple(_run(each) for each in reversed(shift.runs[-MOST_RUNS:]))
    left = shift.runs[:-MOST_RUNS]
    more = f"{several(len(left), 'run')} before these, {several(sum(each.spills for each in left), 'spill')}."
    heads = ("Run", "Type", "State", "Came (UTC)", "Spills", "Rejected", "Missing", "Flags")
    table = Table(heads, rows)
    return Section("Runs", (f"{lead}{unseen:,} not looked at.",), table, (more,) if left else ())


def _run(run: ShiftRun) -> tuple[str, ...]:
    came = f"{_clock(run.first_ms)}–{_clock(run.produced_ms)}"
    counts = (f"{each:,}" for each in (run.spills, run.rejected, run.missing))
    return (str(run.run), run.run_type or "–", run.state, came, *counts, _short(_flags(run)))


def _flags(run: ShiftRun) -> str:
    said = [f"{name} {_share(count, run.spills)}" for name, count in run.shares._asdict().items() if count]
    why = next((flag.reason for flag in reversed(run.flags) if flag.withdrawn is None and flag.reason), "")
    unknown = "cannot be read" if run.spills else "no spills"
    words = ", ".join(said).replace("unseen", "not looked at") or unknown
    return f"{words}: {why}" if why else words


def _share(some: int, of: int) -> str:
    if some == of:
        return "all"
    return percent(some / of)


def _alarms(shift: Shift) -> Section:
    heard = [each for each in shift.alarms if each.at_us < shift.until_us and _is_of(each, shift.since_us)]
    raised = sum(each.at_us >= shift.since_us for each in heard)
    acknowledged = sum(each.acknowledged is not None for each in heard)
    standing = sum(each.is_active for each in heard)
    lead = (
        f"{raised:,} raised, {acknowledged:,} of {several(len(heard), 'alarm')} acknowledged, {standing:,} active now."
    )
    if not heard:
        return Section("Alarms", ("No alarm is known. Only spilldeck alarms watch raises them.",))
    heard.sort(key=lambda each: (not each.is_active, *by_priority(each)))
    rows = tuple(_alarm(each, shift.until_us) for each in heard[:MOST_ALARMS])
    more = (f"{several(len(heard) - MOST_ALARMS, 'alarm')} more: spilldeck alarms list --all.",)
    table = Table(("Is", "What", "Run", "Raised (UTC)", "Who knows"), rows)
    return Section("Alarms", (lead,), table, more if len(heard) > MOST_ALARMS else ())


def _is_of(alarm: Alarm, since_us: int) -> bool:
    """Say whether an alarm was raised, was heard of or stood in the time since then."""
    remarks = (alarm.cleared, alarm.acknowledged)
    return alarm.is_active or any(at >= since_us for at in (alarm.at_us, *(each.at_us for each in remarks if each)))


def _alarm(alarm: Alarm, now_us: int) -> tuple[str, ...]:
    state = "over" if not alarm.is_active else str(alarm.new.priority)
    if alarm.is_active and alarm.is_known(now_us):
        state = "known issue"
    elif alarm.is_active and alarm.is_shelved(now_us):
        state = "shelved"
    knows = alarm.acknowledged.who if alarm.acknowledged is not None else "nobody" if alarm.waits(now_us) else ""
    if alarm.cleared is not None:
        knows = f"{knows}; {alarm.cleared.reason}" if knows else alarm.cleared.reason
    run = str(alarm.new.run) if alarm.new.run != NO_RUN else "–"
    return (state, _short(alarm.new.words), run, _time(alarm.at_us), _short(knows))


def _issues(shift: Shift) -> Section:
    run = shift.current
    here = [each for each in shift.issues if each.withdrawn is None]
    here.sort(key=lambda each: not each.asks(run, shift.until_us))
    over = [each for each in shift.issues if each.withdrawn is not None and each.withdrawn.at_us >= shift.since_us]
    gone = tuple(f"Withdrawn by {each.withdrawn.who}: {_short(each.text)}" for each in over if each.withdrawn)[:3]
    if not here:
        return Section("Known issues", ("Nothing is known to be wrong.",), None, gone)
    rows = tuple(_issue(each, run, shift.until_us) for each in here[:MOST_ISSUES])
    more = (f"{several(len(here) - MOST_ISSUES, 'known issue')} more.",) if len(here) > MOST_ISSUES else ()
    return Section("Known issues", (), Table(("Of", "What", "Owner", "Ends", "Seen"), rows), (*more, *gone))


def _issue(issue: Issue, run: int | None, now_us: int) -> tuple[str, ...]:
    name = issue.of.removeprefix(PLOT)
    of = experiment().plots[name].title if name in experiment().plots else issue.of
    ends = f"expired ({issue.ends}): still so?" if issue.asks(run, now_us) else issue.ends
    return tuple(map(_short, (of, issue.text, issue.owner, ends, issue.seen)))


def _notes(shift: Shift) -> Section:
    here = [each for each in shift.notes if shift.since_us <= each.at_us < shift.until_us]
    if not here:
        return Section("Notes", ("Nobody noted anything.",))
    lines = [f"{_time(each.at_us)} UTC, {each.who}, run {each.run}{_plot_of(each.plot)}: " for each in here]
    said = tuple(f"{lead}{_short(each.text)}{_waits(each)}" for lead, each in zip(lines, here, strict=True))
    left = len(said) - MOST_NOTES
    more = (f"{several(left, 'note')} before these: spilldeck audit list --kind note.",) if left > 0 else ()
    return Section("Notes", said[-MOST_NOTES:], None, more)


def _waits(note: Note) -> str:
    return " (the logbook has not got it)" if note.waits else ""


def _checklists(shift: Shift) -> Section:
    title = "Checklists"
    here = [each for each in shift.checklists if shift.since_us <= each.at_us < shift.until_us]
    left, later = len(here) - MOST_CHECKLISTS, len(shift.undone) - MOST_UNDONE
    lines = [f"{several(left, 'checklist')} before these: spilldeck audit list --kind checklist."] if left > 0 else []
    lines += [_checklist(each) for each in here[-MOST_CHECKLISTS:]]
    if shift.undone:
        more = f"; {later:,} before these" if later > 0 else ""
        lines.append(f"Not done: {'; '.join(each.words for each in shift.undone[-MOST_UNDONE:])}{more}.")
    return Section(title, tuple(lines) or ("None fell due, and none was sent.",))


def _checklist(its: Checklist) -> str:
    order = [Answer.NO, Answer.UNKNOWN, Answer.YES]
    told = "; ".join(each.words for each in sorted(its.lines, key=lambda each: order.index(each.answer)))
    lead = f"{_time(its.at_us)} UTC, {its.who}: {its.of_what}, as of spill {its.spill}: {its.counts}"
    return lead + (f": {_short(told, LONGEST_CHECKLIST)}" if told else "")


def _plot_of(name: str) -> str:
    return f", {experiment().plots[name].title}" if name in experiment().plots else ""


def _changed(shift: Shift) -> Section:
    """Return what is other than in the shift before."""
    title = "Changed since the shift before"
    edited = (f"{name} was edited, {_time(at)} UTC." for name, at in sorted(shift.files.items()))
    left = len(shift.decided) - MOST_DECIDED
    decided = [*map(_short, shift.decided[-MOST_DECIDED:])]
    said = [
        *edited,
        *_limits(shift),
        *([f"{left} decisions before: spilldeck audit list."] if left > 0 else []),
        *decided,
    ]
    its = shift.compared
    if its is None:
        return Section(title, (*said, "No run came that could be compared."))
    if its.other is None or its.why:
        return Section(title, (*said, f"Run {its.run} is compared with none: {_short(its.why)}."))
    both = f"run {its.run} against run {its.other}"
    tables = f"other tables of {', '.join(its.tables)} (spilldeck conditions show)" if its.tables else "as before"
    ours, theirs = (", ".join(sorted(each)) or "unknown" for each in its.code)
    code = f"{ours}, before {theirs}" if ours != theirs else f"{ours} as before"
    found = its.changed
    said += [f"Conditions ({both}): {tables}.", f"Code: {code}."]
    moved = f"{several(len(found.plots), 'plot')} and {several(sum(each.told for each in found.channels), 'channel')}"
    unknown = len(found.not_compared) + len(found.few)
    steady = f"{several(found.steady_plots, 'plot')} did not, of {unknown:,} nobody can tell"
    said.append(f"Plots ({both}): {moved} moved by more than chance; {steady}.")
    rows = [*map(_channel, found.channels[:MOST_CHANNELS]), *map(_plot, found.plots[:MOST_PLOTS])]
    left = max(len(found.channels) - MOST_CHANNELS, 0) + max(len(found.plots) - MOST_PLOTS, 0)
    more = (f"{left:,} more that moved less.",) if left else ()
    table = Table(("What", "How it moved", "Elsewhere"), tuple(rows)) if rows else None
    return Section(title, tuple(said), table, more)


def _limits(shift: Shift) -> list[str]:
    """Return which limits are others than in the shift before, of the types where some are first."""
    lines = [_limits_of(each) for each in sorted(shift.limits, key=lambda each: not each.changed)]
    left = len(lines) - MOST_LIMITS
    return [*lines[:MOST_LIMITS], *([f"Limits of {several(left, 'type')} of runs more."] if left > 0 else [])]


def _limits_of(its: LimitsThen) -> str:
    of = f"Limits of runs of type {_short(its.run_type) or 'that nobody said'}"
    if its.run is None:
        return f"{of}: nobody knows those of the shift before, as no keeper judged a run of the type then."
    said = _short("; ".join(its.changed), LONGEST) if its.changed else "as before"
    return f"{of}, since run {its.run}: {said}."


def _channel(moved: Moved) -> tuple[str, ...]:
    words = f"{moved.group} {moved.channel}".strip()
    by = "by the particle triggers" if moved.channel == ALL else f"by the others in {moved.group}"
    how = f"{moved.hits:,.0f} hits, where {moved.expected:,.0f} were expected {by}"
    return (_short(words), how, percent(moved.size))


def _plot(verdict: PlotVerdict) -> tuple[str, ...]:
    shape = verdict.shape
    assert shape is not None  # noqa: S101 - it has moved
    title = experiment().plots[verdict.plot].title
    return (title, _short(f"Most of all: {where(verdict.plot, shape.worst)}"), percent(shape.elsewhere))


def _short(text: str, most: int = LONGEST) -> str:
    """Return a text in one line that is not too long."""
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[: most - 1]}…"


def _escaped(text: str) -> str:
    """Return a text that Markdown shows as it is: what somebody wrote makes no table, link or element.

    What is not printed stands as an escape: somebody may look at it in a terminal.
    """
    line = printable(" ".join(text.split()))
    return "".join(f"\\{each}" if each in "\\`*_{}[]<>#|!~" else each for each in line)


def _time(at_us: int) -> str:
    return calendar_time(at_us / 1000, "%d %b %H:%M")


def _clock(at_ms: int) -> str:
    return calendar_time(at_ms, "%H:%M") if at_ms else "?"
