"""`swarmscope history`: build and query the history, a small database with sums per hour, computed from recorded logs.

Standard output contains only the result. Progress goes to standard error.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import App, Parameter

from feedback_analysis.location_settings import LocationSettings
from feedback_analysis.moments import END_OF_TIME_MS, unix_ms
from feedback_analysis.score_flags import MosFlags
from serving.address_space import require_address_space
from swarmscope.commands import conditions, examples, exit_on, or_defaults
from swarmscope.commands.log_paths import LogPaths, opened
from swarmscope.output.encoding import print_data
from swarmscope.output.escaping import plain, plain_json

if TYPE_CHECKING:  # DuckDB is slow to import, and --help does not need it
    from feedback_analysis.history.catch_up import AddingProgress
    from feedback_analysis.history.daily import DailyRow
    from feedback_analysis.history.store import HistoryStore
    from feedback_analysis.measures.selection import Span

command = App(
    name="history",
    help_epilogue=examples(
        "swarmscope history build mirror/ --into history",
        "swarmscope history show history --figure daily --timezone Asia/Hong_Kong",
        "swarmscope monitor --static mirror/ --history history",
    ),
)

Figure = Literal["daily", "online", "quality", "hours", "minutes", "isps"]

# The paper's Figures 4(a) and 4(b); 4(c); 4(d) and 5(a).
DAILY = ("period", "new_peers", "total_peers", "cumulative_peers", "peak_concurrent_peers", "upload_kbps", "download_kbps")
ONLINE = ("period", "total_peers", "sessions", "online_s_per_peer", "online_s_per_view")
QUALITY = (
    *("period", "messages", "continuity", "mos", "startup_ms", "start_failures"),
    *("rebuffering_ratio", "stalls_per_hour", "stall_ms", "longest_stall_ms", "contribution_ratio"),
)
OVER_TIME = ("concurrent_peers", "mos")
"""The paper's Figure 5(b)."""


@command.command(
    help_epilogue=examples(
        "swarmscope history build mirror/ --into history",
        "swarmscope history build data/fs1 data/fs2 --into history --period 10",
    )
)
def build(
    paths: LogPaths,
    /,
    *,
    into: Path,
    period: float = 30.0,
    scoring: Annotated[MosFlags | None, Parameter(name="*", group="MOS model")] = None,
    location: Annotated[LocationSettings | None, Parameter(name="*", group="Geolocation")] = None,
) -> None:
    """Add finished (sealed) logs to a history. The command skips logs that the history already contains, and logs that a server
    still writes (journals).

    Unreadable logs are listed and counted; the next run tries them again.

    Parameters
    ----------
    into
        Folder of the history. Created if missing. A day with 20,000 sessions needs about 25 MB.
    period
        Seconds between two reports of a session. An end host that sends nothing for more than this time is not counted as present.
    """
    require_address_space("swarmscope history build")
    from feedback_analysis.geo.locator import locator_for
    from feedback_analysis.history.catch_up import catch_up
    from feedback_analysis.history.store import Basis, HistoryStore
    from feedback_analysis.quality.all_models import mos_from_flags
    from feedback_analysis.reading.log_files import passed_over_in_words

    try:
        basis = Basis(mos=mos_from_flags(or_defaults(scoring, MosFlags)), period_s=period)
        with (
            opened(paths) as files,
            locator_for(or_defaults(location, LocationSettings)) as locator,
            HistoryStore(into, basis) as store,
            _progress() as progress,
        ):
            taken = catch_up(store, files.paths, locator, progress=progress)
    except (ValueError, OSError) as error:
        exit_on(error, "swarmscope history")
    for unread in taken.unread:
        print(f"not read: {plain(files.named(str(unread)))}", file=sys.stderr)
    if taken.passed_over:
        print(f"warning: {plain(passed_over_in_words(taken.passed_over))}", file=sys.stderr)
    if wrong := taken.wrong_clocks.in_words():
        print(f"warning: {wrong}", file=sys.stderr)
    print(
        f"{taken.logs:,} logs added: {taken.messages:,} messages, {taken.copies:,} duplicates skipped, "
        f"{taken.unreadable:,} unreadable records"
        + (f", {taken.conflicts:,} conflicts skipped" if taken.conflicts else "")
        + (f", {len(taken.unread):,} unreadable logs" if taken.unread else ""),
        file=sys.stderr,
    )


@command.command(
    help_epilogue=examples(
        "swarmscope history show history --figure daily --timezone Asia/Hong_Kong",
        "swarmscope history show history --figure minutes \\\n    --from 2012-08-07 --to 2012-08-08 --where channel=Olympics --csv",
        "swarmscope history show history --figure isps --unit month --json",
    )
)
def show(
    folder: Path,
    /,
    *,
    figure: Figure = "daily",
    begin: Annotated[str | None, Parameter(name="--from")] = None,
    end: Annotated[str | None, Parameter(name="--to")] = None,
    unit: Literal["day", "month", "year"] = "day",
    timezone: str = "UTC",
    where: list[str] | None = None,
    as_json: Annotated[bool, Parameter(name="--json")] = False,
    as_csv: Annotated[bool, Parameter(name="--csv")] = False,
) -> None:
    """Print measures from a history as a table, CSV or JSON. The exit code is 1 if the history has no data for the time range.

    Parameters
    ----------
    folder
        Folder of the history, as given to `history build --into` or `monitor --history`.
    figure
        Table to print. daily: users, upload and download rates. online: time online per user and per view. quality: continuity,
        MOS, startup, failed starts, stalls and contribution ratio. hours, minutes: concurrent peers and MOS over time. isps: share
        of users per ISP.
    begin
        Start of the time range: ISO 8601 (in --timezone by default) or Unix milliseconds. The time range is extended to whole
        hours, or to whole days, months or years (--unit).
    end
        End of the time range, in the same formats.
    unit
        Time that one row covers. With --figure hours or minutes, the flag has no effect.
    timezone
        Time zone of days, of printed times, and of --from and --to, such as Asia/Hong_Kong.
    where
        Only users with this value, as NAME=VALUE. NAME is channel, isp, area, district, country, app, platform, peer_id or
        session_id. Repeat the flag for more conditions. With --figure minutes, MOS is available with at most one condition.
    as_json
        Print JSON.
    as_csv
        Print CSV.
    """
    require_address_space("swarmscope history show")
    from feedback_analysis.history.periods import zone_of
    from feedback_analysis.history.store import HistoryStore, extent

    try:
        if as_json and as_csv:
            raise ValueError("--json and --csv both print to standard output; use only one of them")
        filters = conditions(where or ())
        with HistoryStore(folder, None) as store:
            recorded = extent(store)
            span = recorded and _span(begin, end, recorded, zone_of(timezone))
            rows = _rows(store, figure, span, unit, timezone, filters) if span else []
    except (ValueError, OSError) as error:
        exit_on(error, "swarmscope history")
    if not rows:
        sys.exit(f"swarmscope history: {folder} has no data for this time range")
    _print(rows, zone_of(timezone), as_json=as_json, as_csv=as_csv)


def _rows(
    store: "HistoryStore",
    figure: Figure,
    span: "Span",
    unit: Literal["day", "month", "year"],
    zone: str,
    where: Mapping[str, str],
) -> "list[DailyRow]":
    from feedback_analysis.history.daily import coverage, daily
    from feedback_analysis.history.history_timeline import minutes, timeline

    if figure == "isps":
        found = coverage(store, span=span, where=where, unit=unit, zone=zone)
        return [
            {"period": each.period, "isp": isp, "peers": peers, "share": each.shares[isp]}
            for each in found
            for isp, peers in each.peers.items()
        ]
    if figure in ("hours", "minutes"):
        series = (
            minutes(store, measures=OVER_TIME, span=span, where=where)
            if figure == "minutes"
            else timeline(store, measures=OVER_TIME, span=span, zone=zone, where=where)
        )
        return [{"at": at} | {name: series.values[name][number] for name in OVER_TIME} for number, at in enumerate(series.at_ms)]
    columns = {"daily": DAILY, "online": ONLINE, "quality": QUALITY}[figure]
    return [{name: row[name] for name in columns} for row in daily(store, span=span, where=where, unit=unit, zone=zone)]


def _span(begin: str | None, end: str | None, recorded: "Span", zone: tzinfo) -> "Span | None":
    """The part of the requested time range for which the history has data; None if there is none."""
    from feedback_analysis.measures.selection import Span

    from_ms = 0 if begin is None else unix_ms(begin, zone)
    to_ms = END_OF_TIME_MS if end is None else unix_ms(end, zone)
    if from_ms > to_ms:
        raise ValueError(f"--from {begin} is after --to {end}")
    from_ms, to_ms = max(from_ms, recorded.from_ms), min(to_ms, recorded.to_ms)
    return Span(from_ms, to_ms) if from_ms < to_ms else None


@contextmanager
def _progress() -> "Iterator[AddingProgress]":
    """A progress bar on standard error, if that is a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _done, _total: None
        return
    columns = (TextColumn("adding logs"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("adding logs", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _print(rows: "Sequence[DailyRow]", zone: tzinfo, *, as_json: bool, as_csv: bool) -> None:
    if as_json or as_csv:
        print_data()
    if as_json:
        print(plain_json(rows))
    elif as_csv:
        from feedback_analysis.spreadsheet import write_csv

        write_csv(sys.stdout, list(rows[0]), (list(row.values()) for row in rows))
    else:
        _print_table(rows, zone)


def _print_table(rows: "Sequence[DailyRow]", zone: tzinfo) -> None:
    from rich.console import Console
    from rich.table import Column, Table
    from rich.text import Text

    named = ("period", "at", "isp")
    table = Table(
        *(Column(name.replace("_", " "), justify="left" if name in named else "right") for name in rows[0]),
        box=None,
        pad_edge=False,
    )
    for row in rows:
        table.add_row(*(Text(plain(_formatted(name, value, zone))) for name, value in row.items()))
    # In a file or pipe, the width is not limited to that of a terminal.
    Console(highlight=False, width=None if sys.stdout.isatty() else 200).print(table)


def _formatted(name: str, value: str | float | None, zone: tzinfo) -> str:
    """Whole numbers exactly, times in `zone`, other numbers with about four digits."""
    if value is None or isinstance(value, str):
        return value or "–"
    if name == "at":
        at = datetime.fromtimestamp(value / 1000, zone)
        return at.strftime("%Y-%m-%d %H:%MZ") if at.utcoffset() == timedelta(0) else at.isoformat(" ", "minutes")
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.4f}" if abs(value) < 10 else f"{value:,.1f}"
