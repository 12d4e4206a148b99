"""Reads the sessions of trainings from their data sets, for `fit`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qoe_lab.dataset.parquet_tables import read_table
from qoe_lab.models.training_examples import SessionSlots, session_slots
from qoe_lab.traffic.slot_features import SLOT_FEATURES

FEATURES = tuple(each.name for each in SLOT_FEATURES)


def read_sessions(paths: Sequence[Path]) -> list[SessionSlots]:
    """The valid sessions of the data sets in `paths`. ValueError for a path without a data set."""
    sessions, slots = (_columns(read_table(paths, table)) for table in ("sessions", "slots"))
    return session_slots(sessions, slots, FEATURES)


def _columns(table: Any) -> dict[str, NDArray[Any]]:  # noqa: ANN401 - pyarrow has no types
    columns = {name: table.column(name).to_numpy() for name in table.column_names}
    if "valid" in columns:
        columns["valid"] = np.array([each is True for each in columns["valid"].tolist()], dtype=bool)
    # Two trainings may have used the same names for their sessions.
    columns["session_id"] = np.array(
        [f"{training}/{session}" for training, session in zip(columns["training_id"], columns["session_id"], strict=True)]
    )
    return columns
