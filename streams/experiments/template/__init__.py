"""An experiment: its detectors, what its DAQ writes, and a simulator. docs/experiments.md walks through it."""

from schemas.records import RawFormat
from streams.daq.midas_file import midas_file
from streams.experiment import Experiment, Format, Subsystem
from streams.midas.lines import lines
from streams.plots.daq import DAQ
from streams.simulated_file import simulator_of

from .boards import SPILLS, unpack  # relative: so the folder may have any name
from .counters import COUNTERS
from .simulator import FAULTS, write

FILE = midas_file(SPILLS)

EXPERIMENT = Experiment(
    title=__name__,
    subsystems=(Subsystem(plots=DAQ), COUNTERS),
    formats=(Format(raw=RawFormat.MIDAS, source=FILE, unpack=unpack, show=lines),),
    simulator=simulator_of(FILE, write, FAULTS, range(900_000, 1_000_000), period_s=4.0),
)
