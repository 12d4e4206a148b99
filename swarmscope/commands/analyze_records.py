"""`swarmscope analyze --kind measurement` and `--kind inference`: sums of recorded messages other than feedback."""

import csv
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from feedback_wire.kinds import RecordKind
from serving.few_lines import few_lines
from swarmscope.commands.log_paths import opened
from swarmscope.output.encoding import print_data
from swarmscope.output.escaping import plain, plain_json

if TYPE_CHECKING:  # DuckDB is slow to import, and --help does not need it
    from feedback_analysis.inferences.inference_summary import InferenceGroup
    from feedback_analysis.measurements.measurement_summary import MeasurementGroup
    from feedback_analysis.measures.selection import Span
    from feedback_analysis.reading.unpacked import Unpacked
    from feedback_analysis.record_table import AddedRecords, RecordTable

    Group = MeasurementGroup | InferenceGroup

NOUNS = {RecordKind.MEASUREMENT: "operations", RecordKind.INFERENCE: "inferences"}
"""What the records of each kind are about."""

USUAL = {RecordKind.MEASUREMENT: ("technique", "destination"), RecordKind.INFERENCE: ("model", "source")}
"""The groups without --by."""


def analyze_records(
    kind: RecordKind,
    paths: Sequence[Path],
    span: "Span | None",
    by: Sequence[str],
    where: Mapping[str, str],
    *,
    as_json: bool,
    as_csv: bool,
) -> None:
    """Print the groups of the records of `kind` in `paths`. ValueError and FileNotFoundError describe wrong flags and paths."""
    from feedback_analysis.record_table import open_records

    by = tuple(by) or USUAL[kind]
    with opened(paths) as files:
        table, added = open_records(files.paths, kind, span)
    with closing(table):
        groups = _groups(table, by, where)
    print_damages(added, files, kind)
    if not groups:
        sys.exit(f"swarmscope analyze: no {kind} records in {files} match")
    if as_json or as_csv:
        print_data()
    if as_json:
        counts = {NOUNS[kind]: added.records, "copies": added.copies, "unreadable": added.unreadable}
        print(plain_json(counts | {"groups": [asdict(group) for group in groups]}))
    elif as_csv:
        _print_csv(groups, by)
    else:
        _print_tables(groups, by)


def _groups(table: "RecordTable", by: Sequence[str], where: Mapping[str, str]) -> "Sequence[Group]":
    from feedback_analysis.inferences.inference_summary import summarize_inferences
    from feedback_analysis.measurements.measurement_summary import summarize_measurements

    return (
        summarize_inferences(table, by, where) if table.kind is RecordKind.INFERENCE else summarize_measurements(table, by, where)
    )


def print_damages(added: "AddedRecords", files: "Unpacked", kind: RecordKind) -> None:
    """Name on standard error what could not be read: damaged parts, whole logs, and the number of other records."""
    with few_lines(partial(print, file=sys.stderr), "damaged parts") as report:
        for path, damage in added.damages:
            report(f"damaged: {plain(files.named(str(path)))}, byte {damage.offset}: {damage.reason} ({damage.size} bytes)")
    for unread in added.unread:
        print(f"not read: {plain(files.named(str(unread)))}", file=sys.stderr)
    if wrong := added.wrong_clocks.in_words():
        print(f"warning: {wrong}", file=sys.stderr)
    if added.unreadable:
        records = "record" if added.unreadable == 1 else "records"
        print(f"{added.unreadable} {kind} {records} could not be read", file=sys.stderr)


def _print_csv(groups: "Sequence[Group]", by: Sequence[str]) -> None:
    """One row for each value of each group; a group without values has one row without a value."""
    from feedback_analysis.record_groups import table_of

    names, rows = table_of(groups, by)
    csv.writer(sys.stdout, lineterminator="\n").writerows([names, *rows])


def _print_tables(groups: "Sequence[Group]", by: Sequence[str]) -> None:
    from rich.console import Console
    from rich.table import Table

    from feedback_analysis.record_groups import STATISTICS

    console = Console()
    for group in groups:
        name = ", ".join(f"{each}={group.by[each]}" for each in by)
        print(plain(f"{name}: {group.in_words}"))
        table = Table()
        for column in ("value", *STATISTICS):
            table.add_column(column, justify="left" if column == "value" else "right")
        for value, found in group.values.items():
            table.add_row(plain(value), *(f"{getattr(found, statistic):,.6g}" for statistic in STATISTICS))
        if group.values:
            console.print(table)
