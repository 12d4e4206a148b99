"""From measurement logs to numbers: a table with a row per operation, and sums of its groups."""
