"""Tests of the test beam, the second experiment."""
