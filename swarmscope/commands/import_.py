"""`swarmscope import`: convert the data of another system into logs, or send it to a coordinator."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from cyclopts import App

from feedback_wire.log_name import SERVER_NAME
from swarmscope.commands import examples, exit_on
from swarmscope.output.escaping import plain

if TYPE_CHECKING:  # DuckDB is slow to import, and --help does not need it
    from swarmscope.importing.import_report import ImportReport
    from swarmscope.importing.job import ImportJob, ImportProgress
    from swarmscope.sending.coordinator_client import SendCounts

command = App(
    name="import",
    help_epilogue=(
        "If a column has the name of a record field (`swarmscope schema --record`), it is imported into that field. The mapping "
        "file assigns other columns to fields:\n\n"
        "    [columns]\n"
        '    received_ms = "when"   # the time of the row\n'
        '    peer_id = "client"\n'
        '    startup_ms = "startup_s * 1000"\n'
        "    [time]\n"
        '    unit = "s"             # unit of numeric times: s, ms (default), us or ns\n\n'
        "docs/import.md describes the mapping file.\n\n"
        + examples(
            "swarmscope import sessions.csv --mapping mapping.toml",
            "swarmscope import sessions.csv --mapping mapping.toml --into imported \\\n    --refused refused.jsonl",
            "swarmscope analyze imported",
            "swarmscope import beacons.parquet --mapping mapping.toml \\\n    --coordinator http://127.0.0.1:8080 --key KEY",
        )
    ),
)
_HOUR_S, _DAY_S = 3600, 86_400
_PROGRESS_ROWS = 1000


@command.default
def import_files(
    files: list[Path],
    /,
    *,
    mapping: Path | None = None,
    into: Path | None = None,
    to: Literal["jsonl", "csv", "parquet"] = "jsonl",
    name: str = "import",
    roll_seconds: int = _HOUR_S,
    ip: Literal["keep", "truncate", "drop"] = "truncate",
    coordinator: str = "",
    key: str = "",
    refused: Path | None = None,
) -> None:
    """Convert the data of another system into logs, or send it to a coordinator.

    Parameters
    ----------
    files
        Files to import, all of the same format: .csv, .tsv, .parquet, .jsonl or .ndjson. Text files can also end in .gz or .zst.
    mapping
        TOML file that assigns columns to record fields.
    into
        Write logs to this folder. Each row goes into the log of its own time. analyze, history build and monitor --static can read
        the folder. Cannot be used together with --coordinator.
    to
        Form (file format) of the logs.
    name
        Name of this import, part of the name of each log. Use a different name for each import into the same folder.
    roll_seconds
        Seconds that one log covers, from 1 to 86400.
    ip
        What to record of an end host's IP address: all of it (keep), its /24 or /48 network (truncate), or nothing (drop).
    coordinator
        Send messages to the coordinator at this URL. The records get the current time as time of receipt; the original time is in
        sent_ms and extra.original_ms. Cannot be used together with --into.
    key
        Ingest key that the coordinator accepts.
    refused
        Write one JSON line per refused row to this file.
    """
    from feedback_server.settings import FORMS
    from swarmscope.importing.import_report import ImportReport
    from swarmscope.importing.job import ImportJob
    from swarmscope.importing.log_folder import LogFolder
    from swarmscope.importing.mapping import Mapping
    from swarmscope.importing.row_source import opened
    from swarmscope.sending.coordinator_client import CoordinatorClient

    counts = None
    try:
        _check(into, coordinator, name, roll_seconds)
        _check_refused(refused, [*files, *([] if mapping is None else [mapping])])
        mapped = Mapping() if mapping is None else Mapping.read(mapping)
        with ExitStack() as open_files:
            source = open_files.enter_context(opened(files))
            report = ImportReport(
                refusals=None if refused is None else open_files.enter_context(refused.open("w", encoding="utf-8"))
            )
            progress = open_files.enter_context(_progress())
            job = ImportJob(source=source, mapping=mapped, sources=mapped.sources(source.columns), report=report, progress=progress)
            if into is not None:
                logs = job.write(LogFolder(into, name=name, form=FORMS[to], roll_s=roll_seconds), ip)
            elif coordinator:
                counts = job.send(CoordinatorClient(coordinator, key))
            else:
                filled = job.check().filled
    except (ValueError, OSError) as error:
        exit_on(error, "swarmscope import")
    _print(report)
    if into is not None:
        print(f"{logs:,} {'log' if logs == 1 else 'logs'} written to {into}")
    elif counts is not None:
        _print_sent(counts)
    else:
        _print_fields(job, filled)
    sys.exit(int(bool(report.refused or not report.accepted or (counts and counts.refused))))


def _check(into: Path | None, coordinator: str, name: str, roll_seconds: int) -> None:
    """ValueError for wrong flags, before the import begins."""
    if into is not None and coordinator:
        raise ValueError("--into writes logs and --coordinator sends messages; use only one of them")
    if SERVER_NAME.fullmatch(name) is None:
        raise ValueError(f"--name is {name!r}; use 1 to 32 of a-z, 0-9 and inner hyphens, such as import")
    if not 1 <= roll_seconds <= _DAY_S:
        raise ValueError(f"--roll-seconds is {roll_seconds}; use a number from 1 to {_DAY_S}, such as {_HOUR_S}")


def _check_refused(refused: Path | None, inputs: list[Path]) -> None:
    """ValueError if `--refused` would overwrite a file that is read."""
    if refused is not None and refused.exists():
        for path in inputs:
            if path.exists() and refused.samefile(path):
                raise ValueError(f"--refused {refused} would overwrite {path}, which is read; use another file")


def _print(report: "ImportReport") -> None:
    """Print how many rows were accepted and refused, with examples."""
    print(f"{report.rows:,} rows: {report.accepted:,} accepted, {report.refused.total():,} refused")
    if report.first_ms is not None and report.last_ms is not None:
        print(f"times: {_time_text(report.first_ms)} to {_time_text(report.last_ms)}")
    for reason, count in report.refused.most_common():
        print(f"refused, {reason}: {count:,}")
        for example in report.examples[reason]:
            print(f"  {plain(example)}")
        if count > len(report.examples[reason]):
            print("  …")
    if report.unreadable_ips:
        print(f"ip is not an address: {report.unreadable_ips:,} accepted rows, recorded without an address")


def _print_sent(counts: "SendCounts") -> None:
    """Print how many messages the coordinator accepted and refused."""
    print(f"the coordinator accepted {counts.accepted:,} messages and refused {counts.refused.total():,}")
    for reason, count in counts.refused.most_common():
        print(f"  {plain(reason)}: {count:,}")


def _print_fields(job: "ImportJob", filled: dict[str, int]) -> None:
    """Print the column of each field, and the columns that are not used."""
    from swarmscope.importing.mapping import shortened

    for field, column in job.sources.items():
        by = "" if column.factor == 1 else f" * {column.factor:g}"
        count = job.report.accepted if field == "received_ms" else filled[field]
        print(f"{plain(field)} = {plain(column.name)}{by}: {count:,} values")
    used = {column.name for column in job.sources.values()}
    if unused := [name for name in job.source.columns if name not in used]:
        print(f"not used: {plain(shortened(unused))}")
    print("nothing was written; add --into FOLDER or --coordinator URL to import")


def _time_text(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


@contextmanager
def _progress() -> "Iterator[ImportProgress]":
    """A counter of rows on standard error, if that is a terminal."""
    if not sys.stderr.isatty():
        yield lambda _rows: None
        return
    from rich.console import Console
    from rich.progress import Progress, TextColumn, TimeElapsedColumn

    shown = (TextColumn("{task.completed:,.0f} rows"), TimeElapsedColumn())
    with Progress(*shown, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("reading", total=None)

        def update(rows: int) -> None:
            if rows % _PROGRESS_ROWS == 0:
                bar.update(task, completed=rows)

        yield update
