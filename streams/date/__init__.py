"""DATE, the data acquisition of ALICE and of experiments after it: event headers, and what is in an event."""
