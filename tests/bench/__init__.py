"""Speed, measured and printed; never a test that passes or fails by the clock."""
