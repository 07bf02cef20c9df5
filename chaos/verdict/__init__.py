"""From a record to a verdict: pure functions, total on any record, never a pass on missing data."""
