"""A test beam: time of flight, a hodoscope and lead glass, read out with MIDAS. The example of docs/experiments.md."""

from schemas.records import RawFormat
from streams.avro.spills import HitTable
from streams.daq.columns_file import column_spills
from streams.daq.midas_file import midas_file
from streams.experiment import ConditionsKinds, Experiment, Format, Reconstruction, Subsystem
from streams.experiments.testbeam.boards import DIGITISER, READ_BY, SPILLS, TDC, BeamHits, Pulses, TdcHits, unpack
from streams.experiments.testbeam.conditions import BOARDS, NEEDED, SIMULATED, make_conditions, odd
from streams.experiments.testbeam.plots import CALORIMETER, COUNTERS, HODOSCOPE
from streams.experiments.testbeam.reco import reconstruct_calorimeter, reconstruct_counters, reconstruct_hodoscope
from streams.experiments.testbeam.simulator import FAULTS, write
from streams.experiments.testbeam.tables import Calorimeter, Counters, Hodoscope
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
        Subsystem(plots=COUNTERS, reconstruction=Reconstruction(tables=Counters, step=reconstruct_counters)),
        Subsystem(plots=HODOSCOPE, reconstruction=Reconstruction(tables=Hodoscope, step=reconstruct_hodoscope)),
        Subsystem(plots=CALORIMETER, reconstruction=Reconstruction(tables=Calorimeter, step=reconstruct_calorimeter)),
    ),
    formats=(Format(raw=RawFormat.MIDAS, source=FILE, unpack=unpack, show=lines), COLUMNS),
    conditions=ConditionsKinds(
        kinds=("cabling", "calibration"), needed=NEEDED, make=make_conditions, odd=odd, simulated=SIMULATED
    ),
    simulator=simulator_of(FILE, write, FAULTS, range(900_000, 1_000_000), period_s=4.0),
)
