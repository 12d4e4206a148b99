"""`swarmscope analyze`: compute the dashboard's measures from recorded logs.

Standard output contains only the result. Progress and damage go to standard error.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from functools import partial
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from feedback_analysis.location_settings import LocationSettings
from feedback_analysis.moments import END_OF_TIME_MS, unix_ms
from feedback_analysis.score_flags import Scoring
from feedback_wire.kinds import KindName, RecordKind
from serving.address_space import require_address_space
from serving.few_lines import few_lines
from swarmscope.commands import conditions, examples, exit_on, or_defaults
from swarmscope.commands.analyze_records import analyze_records
from swarmscope.commands.log_paths import LogPaths, opened
from swarmscope.output.encoding import print_data
from swarmscope.output.escaping import plain, plain_json
from swarmscope.output.summary_tables import flat, print_tables

if TYPE_CHECKING:  # DuckDB is slow to import, and --help does not need it
    from feedback_analysis.measures.selection import Span
    from feedback_analysis.measures.summary import Summary
    from feedback_analysis.messages.load import ReadingProgress
    from feedback_analysis.messages.session_table import SessionTable
    from feedback_analysis.messages.table import FeedbackTable
    from feedback_analysis.quality.all_models import Models
    from feedback_analysis.reading.unpacked import Unpacked

WORST = 20
"""Groups that --sort lists, unless --top is given."""

command = App(
    name="analyze",
    help_epilogue=examples(
        "swarmscope analyze data/fs1 data/fs2",
        "cat friday.jsonl.gz | swarmscope analyze -",
        "swarmscope analyze mirror/ --from 2012-08-07T09:30Z --to 2012-08-07T10:00Z \\\n    --by channel,isp",
        "swarmscope analyze friday.parquet --by extra.codec --json | jq .groups",
        "swarmscope analyze friday.parquet \\\n    --where channel=Olympics --where extra.codec=av1",
        "swarmscope analyze mirror/ --by isp --html report.html",
        "swarmscope analyze mirror/ --models all --model-set mos_stalling.length=0.2",
        "swarmscope analyze mirror/ --geo-city GeoLite2-City.mmdb \\\n    --districts wards.geojson --by district",
        "swarmscope analyze mirror/ --by isp --sort rebuffering_ratio --min-n 25",
        "swarmscope analyze mirror/ --kind measurement --by agent,technique",
        "swarmscope analyze mirror/ --kind inference --by training_id",
        "swarmscope analyze mirror/ --sessions --models all --parquet sessions.parquet",
    ),
)


@command.default
def analyze(
    paths: LogPaths,
    /,
    *,
    kind: KindName = "feedback",
    begin: Annotated[str | None, Parameter(name="--from")] = None,
    end: Annotated[str | None, Parameter(name="--to")] = None,
    by: list[str] | None = None,
    top: int | None = None,
    sort: str = "",
    min_n: int = 1,
    where: list[str] | None = None,
    as_json: Annotated[bool, Parameter(name="--json")] = False,
    as_csv: Annotated[bool, Parameter(name="--csv")] = False,
    parquet: Path | None = None,
    sessions: bool = False,
    p1203: Path | None = None,
    models: str = "",
    html: Path | None = None,
    period: float | None = None,
    scoring: Annotated[Scoring | None, Parameter(name="*", group="MOS and quality models")] = None,
    location: Annotated[LocationSettings | None, Parameter(name="*", group="Geolocation")] = None,
) -> None:
    """Analyze recorded logs.

    Parameters
    ----------
    kind
        Kind of records to analyze. measurement: results of active measurement, grouped by --by (technique, destination, address,
        agent, agent_address, status, quality, request_id, via or tags.NAME; by default technique and destination). inference: what
        models concluded from packets, grouped by --by (model, model_sha256, source, training_id, session_id, address, flow,
        height or via; by default model and source). Both accept --from, --to, --by, --where, --json and --csv only.
    begin
        Start of the time range, inclusive, by time of receipt: ISO 8601 (UTC by default) or Unix milliseconds.
    end
        End of the time range, exclusive, in the same formats.
    by
        Dimensions to group by, separated by commas: channel, isp, area, district, country, app, platform, event (join, report,
        leave), via (coordinator) or extra.NAME; also peer_id or session_id. The output has one group for each combination of
        values.
    top
        Maximum number of groups to list, those with the most messages first. The other groups are combined as (other). The
        default is 1000, or 20 with --sort.
    sort
        Sort the groups by this measure, the worst first: rebuffering_ratio, stalls_per_hour, stall_ms, longest_stall_ms,
        start_failures, p2p_ratio, upload_kbps, download_kbps, playback_kbps, continuity, startup_ms, mos or contribution_ratio.
        With messages, peers or sessions, the largest groups are first.
    min_n
        With --sort: list only groups of at least this number of sessions.
    where
        Only records with this value, as NAME=VALUE. NAME is one of the names of --by. Repeat the flag for more conditions.
    as_json
        Print JSON in the format of the monitoring platform's summary API.
    as_csv
        Print CSV: one line for the total and one for each group.
    parquet
        Write the table of --csv to this Parquet file.
    sessions
        Print one row per session, with its fields, means and scores, instead of totals. Requires --csv or --parquet.
    p1203
        Folder for input files of the ITU-T P.1203 model (mode 0), one per session. The values are estimates. The app must send
        extra.codec, extra.resolution and extra.fps.
    models
        Quality models to compute: all, or a comma-separated list of mos, mos_stalling, qoe_linear, startup_score, good_sessions.
        The output also has the terms of each score. A score is the sum of its terms.
    html
        Also write a web page with the map, districts, histogram, timeline and measures. It works without a server or network.
    period
        Seconds between two reports of a session; by default the median time between two messages of a session. An end host that
        sends nothing for more than this time is not counted as present. A session that does not play within twice this time after
        it joined counts as failed to start.
    """
    require_address_space("swarmscope analyze")
    from feedback_analysis.measures.selection import check_dimensions
    from feedback_analysis.messages.reporting_period import reporting_period_s
    from feedback_analysis.messages.session_table import session_table
    from feedback_analysis.quality.all_models import model_names, models_of

    columns = [name.strip() for each in by or () for name in each.split(",") if name.strip()]
    try:
        _check_output(as_json=as_json, as_csv=as_csv, html=html, period=period)
        _check_groups(columns, top=top, sort=sort, min_n=min_n, models=models)
        _check_tables(as_json=as_json, as_csv=as_csv, parquet=parquet, sessions=sessions, by=columns)
        filters = conditions(where or ())
        if kind != "feedback":
            others = (top, sort, parquet, p1203, models, html, period, scoring, location)
            _check_record_flags(kind, as_json=as_json, as_csv=as_csv, others=any(map(bool, (*others, min_n > 1, sessions))))
            analyze_records(RecordKind(kind), paths, _span(begin, end), columns, filters, as_json=as_json, as_csv=as_csv)
            return
        check_dimensions((*columns, *filters))
        quality, scored = models_of(or_defaults(scoring, Scoring)), model_names(models)
        asked = _span(begin, end)
        needed = None if html or sessions or p1203 else (*columns, *filters)
        table, files = _open_table(paths, quality, scored, or_defaults(location, LocationSettings), asked, needed)
        with closing(table):
            _print_damages(table, files)
            table.period_s = period or reporting_period_s(table)
            span = _covered(table, asked, begin, end)
            summary = _summary(table, span, filters, columns, top=top, sort=sort, min_n=min_n, scored=scored)
            rows = session_table(table, scored or ("mos",), span=span, where=filters) if sessions else None
            if p1203 is not None:
                _write_p1203(p1203, table, span, filters)
            if html is not None and summary["messages"]:
                from monitor_platform.dashboard.html_report import write_report  # Bokeh takes a second more

                write_report(html, table, span=span, where=filters, by=columns, models=scored, period_s=table.period_s)
    except (ValueError, OSError) as error:
        exit_on(error, "swarmscope analyze")
    if not summary["messages"]:
        sys.exit(f"swarmscope analyze: no records in {files}{_within(asked, filters)}{_times(asked, paths)}")
    _print_result(summary, rows, columns, as_json=as_json, as_csv=as_csv, parquet=parquet)


def _open_table(
    paths: Sequence[Path],
    quality: "Models",
    scored: Sequence[str],
    location: LocationSettings,
    asked: "Span | None",
    needed: Sequence[str] | None,
) -> "tuple[FeedbackTable, Unpacked]":
    """The records of `paths`, and the files that were read.

    The table has the columns for the dimensions `needed` and the models `scored`; None: all columns.
    """
    from feedback_analysis.geo.locator import locator_for
    from feedback_analysis.messages.column_table import columns_for
    from feedback_analysis.messages.load import open_logs
    from feedback_analysis.quality.all_models import mos_of

    with opened(paths) as files, locator_for(location) as locator, _progress() as progress:
        table = open_logs(
            files.paths,
            locator=locator,
            mos=mos_of(quality),
            models=quality,
            span=asked,
            progress=progress,
            columns=None if needed is None else columns_for(needed, [quality[name] for name in scored]),
        )
        return table, files


def _summary(
    table: "FeedbackTable",
    span: "Span | None",
    where: Mapping[str, str],
    by: Sequence[str],
    *,
    top: int | None,
    sort: str,
    min_n: int,
    scored: Sequence[str],
) -> "Summary":
    """The totals and groups that the flags request, with the scores of the models `scored`."""
    from feedback_analysis.measures.summary import DEFAULT_GROUPS, summarize
    from feedback_analysis.messages.ranking import ranked
    from feedback_analysis.messages.scores import add_scores

    if sort:
        summary = ranked(table, by=by, sort=sort, top=top or WORST, least_sessions=min_n, span=span, where=where)
    else:
        summary = summarize(table, span=span, where=where, by=by, top=top or DEFAULT_GROUPS)
    if scored:
        add_scores(summary, table, scored, span=span, where=where, by=by, top=top or DEFAULT_GROUPS)
    summary["unread_logs"] = len(table.unread)
    return summary


def _write_p1203(folder: Path, table: "FeedbackTable", span: "Span | None", where: Mapping[str, str]) -> None:
    from feedback_analysis.messages.p1203 import write_inputs

    folder.mkdir(parents=True, exist_ok=True)
    write_inputs(folder, table, span=span, where=where)


def _print_result(
    summary: "Summary",
    sessions: "SessionTable | None",
    by: Sequence[str],
    *,
    as_json: bool,
    as_csv: bool,
    parquet: Path | None,
) -> None:
    """Print the summary or the table of sessions as the flags require, or write it to the Parquet file."""
    from feedback_analysis.messages.session_table import TEXTS
    from feedback_analysis.spreadsheet import write_csv, write_parquet

    if as_json or as_csv:
        print_data()
    if as_json:
        print(plain_json(summary))
    elif sessions is not None or as_csv or parquet:
        names, lines = (sessions.names, sessions.rows) if sessions else flat(summary, by)
        texts = TEXTS if sessions else by
        write_parquet(parquet, names, lines, texts=texts) if parquet else write_csv(sys.stdout, names, lines)
    else:
        print_tables(summary, by)


def _check_output(*, as_json: bool, as_csv: bool, html: Path | None, period: float | None) -> None:
    """ValueError for wrong output flags, before the analysis begins."""
    if as_json and as_csv:
        raise ValueError("--json and --csv both print to standard output; use only one of them")
    _check_file("--html", html)
    if period is not None and not 0 < period < inf:
        raise ValueError(f"--period is {period:g}; it needs a number of seconds above 0, such as 30")


def _check_record_flags(kind: KindName, *, as_json: bool, as_csv: bool, others: bool) -> None:
    """ValueError for flags that only feedback has."""
    _check_output(as_json=as_json, as_csv=as_csv, html=None, period=None)
    if others:
        raise ValueError(f"--kind {kind} accepts only --from, --to, --by, --where, --json and --csv; remove the other flags")


def _check_groups(by: Sequence[str], *, top: int | None, sort: str, min_n: int, models: str) -> None:
    """ValueError for wrong flags of groups."""
    from feedback_analysis.measures.summary import RANKABLE

    if top is not None and top < 1:
        raise ValueError(f"--top is {top}; use a whole number of at least 1, such as 20")
    if min_n < 1 or (min_n > 1 and not sort):
        raise ValueError(f"--min-n is {min_n}; it needs a whole number of at least 1, and --sort")
    if sort and sort not in RANKABLE:
        raise ValueError(f"--sort is {sort!r}; choose from {', '.join(RANKABLE)}")
    if sort and (not by or models):
        raise ValueError("--sort orders the groups of --by, and cannot be combined with --models; use --sort and --by")


def _check_tables(*, as_json: bool, as_csv: bool, parquet: Path | None, sessions: bool, by: Sequence[str]) -> None:
    """ValueError for combinations of table flags that have no or two outputs."""
    if parquet is not None and (as_json or as_csv):
        raise ValueError("--parquet writes the table of --csv; use only one of --json, --csv and --parquet")
    _check_file("--parquet", parquet)
    if sessions and not (as_csv or parquet):
        raise ValueError("--sessions needs an output: add --csv or --parquet FILE")
    if sessions and by:
        raise ValueError("--sessions prints one row per session and cannot be combined with --by; remove one of them")


def _check_file(flag: str, path: Path | None) -> None:
    """ValueError if `path` certainly cannot be written."""
    if path is not None and not path.parent.is_dir():
        raise ValueError(f"{flag} {path} cannot be written: there is no folder {path.parent}")
    if path is not None and path.is_dir():
        raise ValueError(f"{flag} {path} cannot be written: it is a folder; use the path of a file")


def _within(asked: "Span | None", filters: Mapping[str, str]) -> str:
    """The conditions, as the end of the sentence "no records in ..."."""
    time = " within that time" if asked else ""
    return time + (f" with {', '.join(f'{name}={value}' for name, value in filters.items())}" if filters else "")


def _times(asked: "Span | None", paths: Sequence[Path]) -> str:
    """When the logs begin, if a time range selected none of their records; empty without log names."""
    from feedback_analysis.reading.log_files import find_logs, log_name

    known = [path for path in paths if path.is_dir() or log_name(path) is not None]
    names = [name for path in find_logs(known).logs if (name := log_name(path)) is not None] if asked else []
    if not names:
        return ""
    first, last = (datetime.fromtimestamp(of(each.begins_s for each in names), UTC) for of in (min, max))
    return f"; the logs begin at {first:%Y-%m-%dT%H:%M:%SZ}" + (f" to {last:%Y-%m-%dT%H:%M:%SZ}" if last > first else "")


def _span(begin: str | None, end: str | None) -> "Span | None":
    """The requested time range; an open end has no limit."""
    from feedback_analysis.measures.selection import Span

    if begin is None and end is None:
        return None
    from_ms, to_ms = 0 if begin is None else unix_ms(begin), END_OF_TIME_MS if end is None else unix_ms(end)
    if from_ms > to_ms:
        raise ValueError(f"--from {begin} is after --to {end}")
    return Span(from_ms, to_ms)


def _covered(table: "FeedbackTable", asked: "Span | None", begin: str | None, end: str | None) -> "Span | None":
    """The requested time range, with an open end limited to the records."""
    from feedback_analysis.measures.selection import Span
    from feedback_analysis.messages.extent import extent

    recorded = extent(table)
    if asked is None or recorded is None:
        return asked
    from_ms = recorded.from_ms if begin is None else asked.from_ms
    to_ms = recorded.to_ms if end is None else asked.to_ms
    return Span(min(from_ms, to_ms), to_ms) if begin is None else Span(from_ms, max(from_ms, to_ms))


@contextmanager
def _progress() -> "Iterator[ReadingProgress | None]":
    """A progress bar on standard error, if that is a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    shown = (TextColumn("reading"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*shown, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("reading", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _print_damages(table: "FeedbackTable", files: "Unpacked") -> None:
    from feedback_analysis.messages.extent import extent, warning_of_seconds
    from feedback_analysis.reading.log_files import passed_over_in_words
    from feedback_analysis.reading.rows import reasons_in_words

    with few_lines(partial(print, file=sys.stderr), "damaged parts") as report:
        for damage in table.damages:
            report(f"damaged: {plain(files.named(str(damage)))}")
    for unread in table.unread:
        print(f"not read: {plain(files.named(str(unread)))}", file=sys.stderr)
    if table.passed_over:
        print(f"warning: {plain(passed_over_in_words(table.passed_over))}", file=sys.stderr)
    if wrong := table.wrong_clocks.in_words():
        print(f"warning: {wrong}", file=sys.stderr)
    if table.unreadable:
        records = "record" if table.unreadable == 1 else "records"
        print(f"{table.unreadable} {records} could not be read{reasons_in_words(table.unreadable_for)}", file=sys.stderr)
    if warning := warning_of_seconds(extent(table)):
        print(f"warning: {warning}", file=sys.stderr)
