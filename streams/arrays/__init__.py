"""Columns of whole numbers: sorted, joined and told apart without loops."""
