"""From the DAQ's bytes to columns of raw hits: DATE framing, the VME boards, and spills as JSON."""
