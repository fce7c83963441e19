"""All plots and trends of the experiment, a file for each detector."""
