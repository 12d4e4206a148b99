"""The forms of the tables that `swarmscope.open_logs` and `swarmscope.open_training` return."""

FORMS = ("pandas", "polars", "duckdb")
