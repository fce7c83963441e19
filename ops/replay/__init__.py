"""Runs processed again, in sessions of their own beside the live one, and the proof that both are equal."""
