"""Avro object container files: what is in their header, and spills whose hits lie in them as columns."""
