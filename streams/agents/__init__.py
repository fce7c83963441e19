"""Thin Faust agents: decode, one pure function, send or fill."""
