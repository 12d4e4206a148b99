"""`swarmscope analyze --kind measurement`: sums of measurements from recorded logs."""

import csv
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from serving.few_lines import few_lines
from swarmscope.output.encoding import print_data
from swarmscope.output.escaping import plain, plain_json

if TYPE_CHECKING:  # DuckDB is slow to import, and --help does not need it
    from feedback_analysis.measurements.measurement_summary import MeasurementGroup
    from feedback_analysis.measurements.measurement_table import AddedMeasurements
    from feedback_analysis.measures.selection import Span
    from feedback_analysis.reading.unpacked import Unpacked

USUAL = ("technique", "destination")
"""The groups without --by."""

STATISTICS = ("n", "mean", "min", "p50", "p95", "max")


def analyze_measurements(
    paths: Sequence[Path], span: "Span | None", by: Sequence[str], where: Mapping[str, str], *, as_json: bool, as_csv: bool
) -> None:
    """Print the groups of the measurements in `paths`. ValueError and FileNotFoundError describe wrong flags and paths."""
    from feedback_analysis.measurements.measurement_summary import summarize_measurements
    from feedback_analysis.measurements.measurement_table import open_measurements
    from feedback_analysis.reading.unpacked import unpacked

    by = tuple(by) or USUAL
    with unpacked(paths, sys.stdin.buffer) as files:
        table, added = open_measurements(files.paths, span)
    with closing(table):
        groups = summarize_measurements(table, by, where)
    _print_damages(added, files)
    if not groups:
        sys.exit(f"swarmscope analyze: no measurements in {', '.join(map(str, paths))} match")
    if as_json or as_csv:
        print_data()
    if as_json:
        counts = {"operations": added.operations, "copies": added.copies, "unreadable": added.unreadable}
        print(plain_json(counts | {"groups": [asdict(group) for group in groups]}))
    elif as_csv:
        _print_csv(groups, by)
    else:
        _print_tables(groups, by)


def _print_damages(added: "AddedMeasurements", files: "Unpacked") -> None:
    with few_lines(partial(print, file=sys.stderr), "damaged parts") as report:
        for path, damage in added.damages:
            report(f"damaged: {plain(files.named(str(path)))}, byte {damage.offset}: {damage.reason} ({damage.size} bytes)")
    for unread in added.unread:
        print(f"not read: {plain(files.named(str(unread)))}", file=sys.stderr)
    if added.unreadable:
        print(f"{added.unreadable} measurements could not be read", file=sys.stderr)


def _print_csv(groups: Sequence["MeasurementGroup"], by: Sequence[str]) -> None:
    """One row for each value of each group; a group without values has one row without a value."""
    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerow([*by, "operations", "ok", "value", *STATISTICS])
    for group in groups:
        begin = [*group.by.values(), group.operations, group.statuses.get("ok", 0)]
        for name, value in group.values.items():
            out.writerow([*begin, name, *(getattr(value, statistic) for statistic in STATISTICS)])
        if not group.values:
            out.writerow([*begin, *[""] * (1 + len(STATISTICS))])


def _print_tables(groups: Sequence["MeasurementGroup"], by: Sequence[str]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    for group in groups:
        name = ", ".join(f"{each}={group.by[each]}" for each in by)
        ends = ", ".join(f"{status} {count}" for status, count in group.statuses.items())
        print(plain(f"{name}: {group.operations} operations ({ends})"))
        table = Table()
        for column in ("value", *STATISTICS):
            table.add_column(column, justify="left" if column == "value" else "right")
        for value, found in group.values.items():
            table.add_row(plain(value), *(f"{getattr(found, statistic):,.6g}" for statistic in STATISTICS))
        if group.values:
            console.print(table)
