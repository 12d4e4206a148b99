"""From log files to verified rows: checksums of all frames are compared before DuckDB reads the bytes."""
