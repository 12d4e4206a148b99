"""Makes the data set of a training: reads its folder, and writes the tables, the CSV file and the data card to `dataset/`.

The same folder gives the same bytes: sessions are in the order of their plan, and nothing contains the time of the export. The new
data set is complete before it replaces the old one.
"""

import os
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path

from qoe_lab.dataset.address_hash import address_key
from qoe_lab.dataset.data_card import data_card
from qoe_lab.dataset.parquet_tables import FOLDER, TableFile, write_table
from qoe_lab.dataset.recorded_training import RecordedTraining, recorded_training
from qoe_lab.dataset.session_tables import SessionReader
from qoe_lab.dataset.sessions_csv import csv_rows, write_sessions_csv
from qoe_lab.dataset.table_columns import TableName, TableRow
from qoe_lab.dataset.training_row import training_row
from serving.locked_scratch import scratch_folder

CARD, CSV = "card.md", "sessions.csv"
_EARLIER = "earlier"
_OF_SESSION: tuple[TableName, ...] = ("slots", "flows", "events")
Progress = Callable[[int, int], None]
"""Called with how many sessions are done, and of how many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportCounts:
    """What the data set has. `invalid` counts the sessions that are not valid by their reason, `doubts` those that are valid."""

    folder: Path
    valid: int
    invalid: Mapping[str, int]
    doubts: Mapping[str, int]
    slots: int
    flows: int
    events: int


def export(training_folder: Path, *, progress: Progress = lambda done, of: None) -> ExportCounts:
    """Make the data set of a training, also of one that still runs.

    ValueError if the folder holds no training, OSError if a file cannot be read or the data set cannot be written.
    """
    training = recorded_training(training_folder)
    reader = SessionReader(training=training, key=address_key(training_folder))
    folder = training_folder / FOLDER

    def restore(scratch: Path) -> None:
        """An export that was killed may have taken the earlier data set away, and not put the new one into its place."""
        if not os.path.lexists(folder) and (scratch / _EARLIER).exists():
            (scratch / _EARLIER).rename(folder)

    try:
        with scratch_folder(f".{FOLDER}-", training_folder, rescue=restore) as scratch:
            draft = scratch / "new"
            draft.mkdir(0o755)
            counts = _write(draft, reader, training, progress)
            _replace(folder, draft, scratch / _EARLIER)
    except OSError as error:
        if error.filename is not None or error.errno is None:
            raise
        # Such as a full disk, of which Arrow has a text of its own.
        raise OSError(error.errno, f"{os.strerror(error.errno)}; no data set was written", str(training_folder)) from error
    return replace(counts, folder=folder)


def _write(draft: Path, reader: SessionReader, training: RecordedTraining, progress: Progress) -> ExportCounts:
    recorded = list(training.sessions())
    sessions: list[TableRow] = []
    flows: list[TableRow] = []
    slot_states: Counter[tuple[str, str]] = Counter()
    with ExitStack() as stack:
        tables = [stack.enter_context(closing(TableFile(draft, name))) for name in _OF_SESSION]
        for done, session in enumerate(recorded, start=1):
            read = reader.read(session)
            sessions.append(read.session)
            flows += read.flows
            slot_states.update((slot["split"], slot["state"]) for slot in read.slots)
            for table, rows in zip(tables, (read.slots, read.flows, read.events), strict=True):
                table.add(rows)
            progress(done, len(recorded))
    write_table(draft, "sessions", sessions)
    row = training_row(training, sessions)
    write_table(draft, "trainings", [row])
    write_sessions_csv(draft / CSV, csv_rows(sessions, flows, row["seconds"]))
    described = {**training.settings.all, **training.environment.all}
    (draft / CARD).write_text(data_card(row, described, sessions, slot_states), encoding="utf-8")
    return ExportCounts(
        folder=draft,
        valid=row["sessions_valid"],
        invalid=Counter(session["invalid_reason"] for session in sessions if not session["valid"]),
        doubts=Counter(doubt for session in sessions for doubt in (session.get("doubts") or "").split()),
        **{name: table.rows for name, table in zip(_OF_SESSION, tables, strict=True)},
    )


def _replace(folder: Path, draft: Path, earlier: Path) -> None:
    """Put the new data set in the place of the old one, which becomes `earlier`."""
    if os.path.lexists(folder):
        folder.rename(earlier)
    draft.rename(folder)
