"""The history: sums per hour and minute in a DuckDB file, which answer questions when the messages are no longer there."""
