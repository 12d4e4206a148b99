"""`swarmscope diagnose`: where in the network a problem is, from recorded measurements and feedback."""

import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from feedback_analysis.location_settings import LocationSettings
from feedback_analysis.score_flags import Scoring
from feedback_wire.kinds import RecordKind
from serving.address_space import require_address_space
from swarmscope.commands import examples, exit_on, or_defaults
from swarmscope.commands.analyze_records import print_damages
from swarmscope.commands.log_paths import LogPaths, opened
from swarmscope.output.encoding import print_data
from swarmscope.output.escaping import plain, plain_json

if TYPE_CHECKING:  # DuckDB is slow to import, and --help does not need it
    from feedback_analysis.diagnosis.verdict import Diagnosis
    from feedback_analysis.diagnosis.viewer_quality import ViewerQuality
    from feedback_analysis.measures.selection import Span
    from feedback_analysis.record_table import RecordTable

USUAL_MINUTES = 10
"""The time that is diagnosed without --from."""

command = App(
    name="diagnose",
    help_epilogue=examples(
        "swarmscope diagnose mirror/",
        "swarmscope diagnose mirror/ --from 2026-11-29T03:00Z --to 2026-11-29T03:10Z --json",
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Diagnosed:
    span: "Span"
    operations: int
    diagnosis: "Diagnosis"


@command.default
def diagnose(
    paths: LogPaths,
    /,
    *,
    begin: Annotated[str | None, Parameter(name="--from")] = None,
    end: Annotated[str | None, Parameter(name="--to")] = None,
    as_json: Annotated[bool, Parameter(name="--json")] = False,
    scoring: Annotated[Scoring | None, Parameter(name="*", group="MOS and quality models")] = None,
    location: Annotated[LocationSettings | None, Parameter(name="*", group="Geolocation")] = None,
) -> None:
    """Find out where in the network a problem is, from recorded measurements and feedback.

    The operations of active measurement in a time range are compared with those of the hour before. The quality of viewers in the
    same minutes is evidence for verdicts about agents with the tag isp of these viewers, so give logs of feedback, too. Each
    verdict has its evidence. If the evidence does not suffice, the command prints what is missing. Verdicts do not change the exit
    code.

    Parameters
    ----------
    begin
        Start of the time range, inclusive, by the clocks of the agents: ISO 8601 (UTC by default) or Unix milliseconds. By default,
        ten minutes before its end.
    end
        End of the time range, exclusive, in the same formats. By default, just after the last operation.
    as_json
        Print one JSON object.
    """
    require_address_space("swarmscope diagnose")
    from feedback_analysis.record_table import open_records, paths_of_kind

    try:
        with opened(paths) as files:
            table, added = open_records(paths_of_kind(files.paths, RecordKind.MEASUREMENT), RecordKind.MEASUREMENT)
            with closing(table):
                print_damages(added, files, RecordKind.MEASUREMENT)
                span = _span(table, begin, end)
                if span is None:
                    sys.exit(f"swarmscope diagnose: no measurements in {files}")
                found = _diagnosed(table, span, files.paths, or_defaults(scoring, Scoring), or_defaults(location, LocationSettings))
    except (ValueError, OSError) as error:
        exit_on(error, "swarmscope diagnose")
    if not found.operations:
        sys.exit(f"swarmscope diagnose: no operation began in this time; {added.records} did at other times")
    _print(found, as_json=as_json)


def _span(table: "RecordTable", begin: str | None, end: str | None) -> "Span | None":
    """The time range to diagnose; None without any operation."""
    from feedback_analysis.measurements.path_history import extent_of_measurements
    from feedback_analysis.measures.selection import Span
    from feedback_analysis.moments import unix_ms
    from feedback_analysis.time_units import MINUTE_MS

    whole = extent_of_measurements(table)
    if whole is None:
        return None
    to_ms = whole.to_ms if end is None else unix_ms(end)
    from_ms = max(0, to_ms - USUAL_MINUTES * MINUTE_MS) if begin is None else unix_ms(begin)
    if from_ms >= to_ms:
        raise ValueError("--from is not before --to")
    return Span(from_ms, to_ms)


def _diagnosed(
    table: "RecordTable", span: "Span", paths: Sequence[Path], scoring: Scoring, location: LocationSettings
) -> _Diagnosed:
    from feedback_analysis.diagnosis.recorded_diagnosis import diagnose_recorded
    from feedback_analysis.measurements.measured_operations import operations_of

    operations = operations_of(table, span=span)
    isps = {each.tags["isp"] for each in operations if "isp" in each.tags}
    viewers = _viewers(paths, span, isps, scoring, location) if isps else ()
    return _Diagnosed(span=span, operations=len(operations), diagnosis=diagnose_recorded(table, span=span, viewers=viewers))


def _viewers(
    paths: Sequence[Path], span: "Span", isps: set[str], scoring: Scoring, location: LocationSettings
) -> "tuple[ViewerQuality, ...]":
    """The quality of the viewers of these ISPs in the time range; nothing without logs of feedback."""
    from feedback_analysis.diagnosis.recorded_viewers import viewers_by_minute
    from feedback_analysis.geo.locator import locator_for
    from feedback_analysis.messages.load import LOOK_AROUND_MS, open_logs
    from feedback_analysis.messages.reporting_period import reporting_period_s
    from feedback_analysis.quality.all_models import models_of, mos_of
    from feedback_analysis.record_table import paths_of_kind

    models, logs = models_of(scoring), paths_of_kind(paths, RecordKind.FEEDBACK)
    with locator_for(location) as locator:
        table = open_logs(logs, locator=locator, mos=mos_of(models), models=models, span=span, look_around_ms=LOOK_AROUND_MS)
        with closing(table):
            table.period_s = reporting_period_s(table)
            return viewers_by_minute(table, span=span, isps=isps)


def _print(found: _Diagnosed, *, as_json: bool) -> None:
    from feedback_analysis.diagnosis.diagnosis_facts import as_json as facts_of
    from feedback_analysis.diagnosis.diagnosis_facts import lines

    if as_json:
        print_data()
        facts = {"from": found.span.from_ms, "to": found.span.to_ms, "operations": found.operations}
        print(plain_json(facts | facts_of(found.diagnosis)))
        return
    for line in lines(found.diagnosis):
        print(plain(line))
