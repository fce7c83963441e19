"""Judgement: what is wrong, in which channel, since which spill. Pure functions of counts; the engine's."""
