"""The implementation of `swarmscope.open_training`. A separate module, because pyarrow is slow to import."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

from qoe_lab.dataset.parquet_tables import read_table
from qoe_lab.dataset.table_columns import TableName
from swarmscope.frame_forms import FORMS


def training_frame(paths: Sequence[Path], table: TableName, as_: str) -> Any:  # noqa: ANN401 - see swarmscope.open_training
    """The table of the data sets in the form `as_`."""
    if as_ not in FORMS:
        raise ValueError(f"as_ is {as_!r}; choose from {', '.join(FORMS)}")
    if table not in get_args(TableName):
        raise ValueError(f"table is {table!r}; choose from {', '.join(get_args(TableName))}")
    if not paths:
        raise ValueError("no path: give the folder of a training, such as trainings/first")
    rows = read_table(paths, table)
    if as_ == "pandas":
        return rows.to_pandas()
    import duckdb

    relation = duckdb.connect().from_arrow(rows)
    return relation.pl() if as_ == "polars" else relation
