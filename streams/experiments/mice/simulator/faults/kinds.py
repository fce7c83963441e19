"""All faults that can be asked for, in the order in which they act on a spill."""

from streams.experiments.mice.simulator.faults import of_boards, of_spills
from streams.experiments.mice.simulator.faults.model import FaultKind, PlaceKind, SpillsKind
from streams.experiments.mice.simulator.faults.places import DETECTORS

_ALL = (
    FaultKind(
        name="change_of_run",
        does="The run ends before this spill, and the next one begins with it as its spill 0.",
        look="Two runs, each with its own books, the first ended; the page offers the new one.",
        spills=SpillsKind.ONE,
        on_order=of_spills.change_run,
    ),
    FaultKind(
        name="run_without_end",
        does="No run of the file has an end-of-run record.",
        look="The run's state stays running, and the spills' freshness grows old. All plots as without it.",
        spills=SpillsKind.RUN,
        on_order=of_spills.no_end,
    ),
    FaultKind(
        name="lost_spills",
        does="The spills are not written. A run's first cannot be lost: the DAQ's count begins with it.",
        look="Missed spills, and the list of missing ones; a dip of the trigger rate at the spill that follows.",
        spills=SpillsKind.NEEDED,
        on_order=of_spills.lose,
    ),
    FaultKind(
        name="reordered_spills",
        does="The spills are written last first. A run's first cannot be moved: the DAQ's count begins with it.",
        look="The out-of-order counter. All plots as without it.",
        spills=SpillsKind.SEVERAL,
        on_order=of_spills.backwards,
    ),
    FaultKind(
        name="duplicated_spills",
        does="Each spill is written twice with the same bytes.",
        look="The duplicates counter. All plots as without it.",
        on_order=of_spills.twice,
    ),
    FaultKind(
        name="empty_spill",
        does="The spill has no particle trigger.",
        look="Particle triggers per spill at 0; no entries from it in any detector.",
        on_beam=of_spills.no_particles,
    ),
    FaultKind(
        name="many_triggers",
        does="The spill has 300 particle triggers, the most that the trigger takes.",
        look="Particle triggers per spill and spill size far up; space points per spill in the overflow.",
        on_beam=of_spills.many_particles,
    ),
    FaultKind(
        name="dead_pmt",
        does="The photomultipliers, the EMR's bars or the trackers' channels give no signal.",
        look="The slab is empty in slab hits, photomultiplier hits and space points; a Cherenkov charge all at 0; "
        "a gap in a tracker plane's digits, and duplets in place of triplets; a gap in the EMR's occupancy.",
        place=PlaceKind.PART,
        on_crate=of_boards.silence,
    ),
    FaultKind(
        name="hot_channel",
        does="The photomultipliers, bars or channels fire in every particle trigger.",
        look="A spike in V1290 or DBB hits by channel; of a slab with both photomultipliers hot, in its slab hits too; "
        "a bar of the EMR's occupancy far above its neighbours.",
        place=PlaceKind.PART,
        on_crate=of_boards.fire_always,
    ),
    FaultKind(
        name="noisy_plane",
        does=f"Each photomultiplier, bar or channel fires in {of_boards.NOISE_PROBABILITY:.0%} of the triggers.",
        look="Slab hits up over the whole plane, flat where no beam is; more digits than space points; a bright column "
        "in the EMR's occupancy, and its ranges long.",
        place=PlaceKind.PART,
        on_crate=of_boards.fire_often,
    ),
    FaultKind(
        name="swapped_cables",
        does="The signals of two photomultipliers, bars or channels are exchanged, at all boards that read them.",
        look="Slabs off the hump in slab hits; fewer space points, off their place in the beam spot; single bars off "
        "the beam in the EMR's occupancy.",
        place=PlaceKind.TWO_PARTS,
        on_crate=of_boards.swap,
    ),
    FaultKind(
        name="shifted_timing",
        does="The signals come later by the value, or, if it is negative, earlier.",
        look="The peaks of the time of flight, or the arrival times, moved by as much; hits of the EMR that leave the "
        "trigger's window are lost to its occupancy.",
        place=PlaceKind.PART,
        value="delay; " + ", ".join(f"{n} in {d.time_unit}" for n, d in DETECTORS.items() if d.time_unit),
        on_crate=of_boards.shift,
    ),
    FaultKind(
        name="counter_wrap",
        does="TDC counters wrap between signal and trigger, event counters and time tags within the spill.",
        look="Nowhere but in the raw leading times: all else is as without it.",
        on_crate=of_boards.near_wrap,
    ),
    FaultKind(
        name="trigger_mismatch",
        does="One board has one particle event less than the others.",
        look="An error of the detectors that read the board, with all numbers; the others count. Where no number has a "
        "majority of boards, the spill is rejected.",
        place=PlaceKind.BOARD,
        on_crate=of_boards.lose_trigger,
    ),
    FaultKind(
        name="corrupted_word",
        does="All bits of the first word of one board are set.",
        look="An error of the detectors that read the board, with the word and its byte; the others count.",
        place=PlaceKind.BOARD,
        on_crate=of_boards.corrupt,
    ),
    FaultKind(
        name="missing_ldc",
        does="The physics event lacks the sub-event of one LDC.",
        look="An error of the detectors that it reads out, with the LDCs that are there and those of the spill; the "
        "others count.",
        place=PlaceKind.LDC,
        on_spill=of_spills.lose_ldc,
    ),
    FaultKind(
        name="wrong_clock",
        does="The spill's times are off by the value.",
        look="A step in the trigger rate, windows elsewhere, and the clock's warning. By more than a week: an error of "
        "the time, and that of the spill before in its place. The run's plots as without it.",
        value="seconds, negative for a clock that is behind",
        on_spill=of_spills.set_clock,
    ),
    FaultKind(
        name="truncated_spill",
        does="The spill's bytes end within its physics event.",
        look="Rejected: by framing from a file, which goes on with the next spill; by unpack from Kafka.",
        on_spill=of_spills.truncate,
    ),
)
KINDS: dict[str, FaultKind] = {kind.name: kind for kind in _ALL}
