"""A test beam: time of flight, a hodoscope and lead glass, read out with MIDAS. The example of docs/experiments.md."""

from schemas.records import RawFormat
from streams.avro.spills import HitTable
from streams.checks.channels import Channels
from streams.daq.columns_file import column_spills
from streams.daq.midas_file import midas_file
from streams.experiment import ConditionsKinds, Experiment, Format, Reconstruction, Subsystem
from streams.experiments.testbeam import reco, tables
from streams.experiments.testbeam.boards import DIGITISER, READ_BY, SPILLS, TDC, BeamHits, Pulses, TdcHits, unpack
from streams.experiments.testbeam.conditions import BOARDS, NEEDED, SIMULATED, make_conditions, odd
from streams.experiments.testbeam.plots import CALORIMETER, COUNTERS, HODOSCOPE
from streams.experiments.testbeam.simulator import FAULTS, write
from streams.midas.lines import lines
from streams.plots.daq import DAQ
from streams.simulated_file import simulator_of

FILE = midas_file(SPILLS)
COLUMNS = column_spills(
    tables={
        "tdc": HitTable(of=TdcHits, read_by=READ_BY[TDC], below={"channel": BOARDS["V1290"]}),
        "pulses": HitTable(of=Pulses, read_by=READ_BY[DIGITISER], below={"channel": BOARDS["V1730"]}),
    },
    make=BeamHits,
)

EXPERIMENT = Experiment(
    title="Test beam",
    subsystems=(
        Subsystem(plots=DAQ),
        *(
            Subsystem(
                plots=plots,
                reconstruction=Reconstruction(tables=made, step=step),
                channels=(Channels(name=plots.title, names=[f"{what} {n}" for n in range(number)], of=of),),
            )
            for plots, made, step, what, number, of in (
                (COUNTERS, tables.Counters, reco.reconstruct_counters, "counter", 4, lambda its: its.hits.counter),
                (HODOSCOPE, tables.Hodoscope, reco.reconstruct_hodoscope, "strip", 24, reco.strips_of),
                (CALORIMETER, tables.Calorimeter, reco.reconstruct_calorimeter, "block", 9, lambda its: its.hits.block),
            )
        ),
    ),
    formats=(Format(raw=RawFormat.MIDAS, source=FILE, unpack=unpack, show=lines), COLUMNS),
    conditions=ConditionsKinds(
        kinds=("cabling", "calibration"), needed=NEEDED, make=make_conditions, odd=odd, simulated=SIMULATED
    ),
    simulator=simulator_of(FILE, write, FAULTS, range(900_000, 1_000_000), period_s=4.0),
)
