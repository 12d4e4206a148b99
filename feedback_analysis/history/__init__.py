"""What is kept when the messages are gone: sums by hour and minute in a DuckDB file, from which every answer is put together."""
