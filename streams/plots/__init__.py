"""The catalogue of plots: one file per detector."""
