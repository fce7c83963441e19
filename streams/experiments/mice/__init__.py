"""MICE, the Muon Ionization Cooling Experiment: time of flight, Cherenkov counters, calorimeters, trackers."""

from collections.abc import Iterator, Sequence
from functools import partial
from types import MappingProxyType

from schemas.records import RawFormat
from streams.daq.date_file import DATE_FILE
from streams.date.words import BoardWords, words
from streams.experiment import ConditionsKinds, Experiment, Format, Reconstruction, Simulation, Simulator, Subsystem
from streams.experiments.mice import channels
from streams.experiments.mice.boards import PulseDefinitions
from streams.experiments.mice.conditions.model import Conditions
from streams.experiments.mice.conditions.odd import odd
from streams.experiments.mice.conditions.read import KINDS, NEEDED, SIMULATED, make_conditions
from streams.experiments.mice.json_file import SPILL_JSON_FILE, lines_of
from streams.experiments.mice.plots.across import ACROSS
from streams.experiments.mice.plots.ckov import CKOV
from streams.experiments.mice.plots.emr import EMR
from streams.experiments.mice.plots.kl import KL
from streams.experiments.mice.plots.raw import RAW
from streams.experiments.mice.plots.scalers import SCALERS, scaler_table
from streams.experiments.mice.plots.since_v1 import OTHER_SINCE_V1
from streams.experiments.mice.plots.tof import TOF
from streams.experiments.mice.plots.tracker import TRACKER
from streams.experiments.mice.read_out import ReadOut
from streams.experiments.mice.reco.ckov import reconstruct_ckov
from streams.experiments.mice.reco.emr import reconstruct_emr
from streams.experiments.mice.reco.kl import reconstruct_kl
from streams.experiments.mice.reco.raw import keep_raw
from streams.experiments.mice.reco.scalers import reconstruct_scalers, scalers_of
from streams.experiments.mice.reco.tof import doubt_calibration, doubt_run, reconstruct_tof
from streams.experiments.mice.reco.tracker import reconstruct_tracker
from streams.experiments.mice.tables.ckov import Ckov
from streams.experiments.mice.tables.emr import Emr
from streams.experiments.mice.tables.kl import Kl
from streams.experiments.mice.tables.raw import Raw
from streams.experiments.mice.tables.scalers import Scalers
from streams.experiments.mice.tables.tof import Tof
from streams.experiments.mice.tables.tracker import Tracker
from streams.experiments.mice.unpack.added import Boards, names_with
from streams.experiments.mice.unpack.board_words import READERS
from streams.experiments.mice.unpack.date import unpack_date
from streams.experiments.mice.unpack.hits import RawHits
from streams.experiments.mice.unpack.spill_json import unpack_json
from streams.plots.daq import DAQ
from streams.unpacked import Word

_SUBSYSTEMS = (
    Subsystem(plots=DAQ),
    Subsystem(
        plots=SCALERS,
        reconstruction=Reconstruction(
            tables=Scalers, step=lambda hits, _: reconstruct_scalers(hits), needs_conditions=False
        ),
        table=scaler_table,
    ),
    Subsystem(
        plots=TOF,
        reconstruction=Reconstruction(
            tables=Tof, step=reconstruct_tof, doubt=doubt_calibration, doubted="no pixel can have triggered"
        ),
        channels=channels.TOF,
        peaks=channels.TOF_PEAKS,
    ),
    Subsystem(plots=CKOV, reconstruction=Reconstruction(tables=Ckov, step=reconstruct_ckov), channels=channels.CKOV),
    Subsystem(plots=KL, reconstruction=Reconstruction(tables=Kl, step=reconstruct_kl), channels=channels.KL),
    Subsystem(
        plots=TRACKER,
        reconstruction=Reconstruction(tables=Tracker, step=reconstruct_tracker),
        channels=channels.TRACKER,
    ),
    Subsystem(plots=EMR, reconstruction=Reconstruction(tables=Emr, step=reconstruct_emr), channels=channels.EMR),
    Subsystem(plots=ACROSS),
    Subsystem(
        plots=RAW,
        reconstruction=Reconstruction(
            tables=Raw, step=lambda hits, _: keep_raw(hits), needs_conditions=False, takes_what_is_left=True
        ),
    ),
)


def mice(*, boards: Boards = MappingProxyType({}), subsystems: Sequence[Subsystem] = ()) -> Experiment:
    """Return the experiment, with boards and detectors that somebody adds to it."""
    return Experiment(
        title="MICE",
        subsystems=(*_SUBSYSTEMS, *subsystems),
        formats=(
            Format(
                raw=RawFormat.DATE,
                source=DATE_FILE,
                unpack=partial(_unpack_date, added=boards),
                show=partial(_show_date, added=boards),
            ),
            Format(raw=RawFormat.SPILL_JSON, source=SPILL_JSON_FILE, unpack=_unpack_json, join=lines_of),
        ),
        conditions=ConditionsKinds(
            kinds=KINDS, needed=NEEDED, make=make_conditions, odd=odd, simulated=SIMULATED / "index.toml"
        ),
        simulator=Simulator(simulate=_simulate, runs=range(900_000, 1_000_000), explained=_explained),
        doubt_run=doubt_run,
        other_since_v1=OTHER_SINCE_V1,
        scalers_of=scalers_of,
    )


def _unpack_date(payload: bytes, conditions: Conditions | None, *, added: Boards) -> RawHits:
    pulses = conditions.pulses if conditions is not None else PulseDefinitions.SINCE_2013
    read_out = conditions.read_out if conditions is not None else ReadOut()
    return unpack_date(payload, pulses, read_out, added)


def _unpack_json(payload: bytes, conditions: Conditions | None) -> RawHits:
    return unpack_json(payload, conditions.read_out if conditions is not None else ReadOut())


def _show_date(payload: bytes, *, added: Boards) -> Iterator[Word]:
    return words(payload, BoardWords(names=names_with(added), readers=READERS))


def _simulate(run: int, spills: int, seed: int) -> Simulation:
    from streams.experiments.mice.simulator import SimulatedRun  # noqa: PLC0415 - few commands simulate

    return SimulatedRun(run=run, spills=spills, seed=seed)


def _explained() -> tuple[list[dict[str, str]], list[str]]:
    from streams.experiments.mice.simulator import explained  # noqa: PLC0415

    return explained()


EXPERIMENT = mice()
