"""All plots, trends and tables of the experiment that the tests are run with."""

from streams.experiment import experiment

DETECTORS = experiment().detectors
PLOTS = experiment().plots
TRENDS = experiment().trends
TABLES = experiment().tables
