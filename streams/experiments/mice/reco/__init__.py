"""Raw hits to digits and hits: one file per detector."""
