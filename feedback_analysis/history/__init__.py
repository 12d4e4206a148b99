"""The history: sums per hour and minute in a DuckDB file. They answer queries about messages that have been removed."""
