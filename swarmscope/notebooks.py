"""The implementation of `swarmscope.open_logs`. A separate module, because DuckDB is slow to import."""

import warnings
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from feedback_analysis.geo.locator import locator_for
from feedback_analysis.inferences.inference_summary import inference_dimension
from feedback_analysis.location_settings import LocationSettings
from feedback_analysis.measurements.measurement_summary import measurement_dimension
from feedback_analysis.measures.selection import Span
from feedback_analysis.messages.load import open_logs
from feedback_analysis.messages.session_counters import COUNTERS
from feedback_analysis.moments import END_OF_TIME_MS, unix_ms
from feedback_analysis.quality.all_models import all_models, model_names, mos_of
from feedback_analysis.quality.model import call
from feedback_analysis.reading.log_files import passed_over_in_words
from feedback_analysis.record_groups import where_sql
from feedback_analysis.record_table import open_records
from feedback_wire.kinds import CONTRACTS, RecordKind
from serving.few_lines import few_lines
from swarmscope.frame_forms import FORMS

_DIMENSIONS = {RecordKind.MEASUREMENT: measurement_dimension, RecordKind.INFERENCE: inference_dimension}


def record_frame(
    kind: RecordKind, paths: Sequence[Path], as_: str, begin: str | None, end: str | None, where: Mapping[str, str]
) -> Any:  # noqa: ANN401 - see swarmscope.open_logs
    """The records of a kind other than feedback in the form `as_`."""
    span = _span(as_, begin, end)
    table, added = open_records(paths, kind, span)
    _warn([f"damaged: {path}, byte {damage.offset}: {damage.reason}" for path, damage in added.damages])
    for unread in added.unread:
        warnings.warn(f"not read: {unread}", stacklevel=3)
    if wrong := added.wrong_clocks.in_words():
        warnings.warn(wrong, stacklevel=3)
    matches, parameters = where_sql(where, _DIMENSIONS[kind])
    table.db.execute(f"CREATE TEMP TABLE selected AS SELECT * FROM {kind} WHERE {matches}", parameters)
    if as_ == "duckdb":
        return table.db.table("selected")
    with closing(table):
        ordered = table.db.sql(f"SELECT * FROM selected ORDER BY received_ms, {', '.join(CONTRACTS[kind].identity)}")
        return ordered.df() if as_ == "pandas" else ordered.pl()


def _span(as_: str, begin: str | None, end: str | None) -> Span:
    if as_ not in FORMS:
        raise ValueError(f"as_ is {as_!r}; choose from {', '.join(FORMS)}")
    return Span(0 if begin is None else unix_ms(begin), END_OF_TIME_MS if end is None else unix_ms(end))


def _warn(damages: Sequence[str]) -> None:
    texts: list[str] = []
    with few_lines(texts.append, "damaged parts") as report:
        for damage in damages:
            report(damage)
    for text in texts:
        warnings.warn(text, stacklevel=4)


def frame(
    paths: Sequence[Path],
    as_: str,
    begin: str | None,
    end: str | None,
    where: Mapping[str, str],
    models: Sequence[str],
    model_set: Sequence[str],
    location: LocationSettings,
) -> Any:  # noqa: ANN401 - see swarmscope.open_logs
    """The messages in the form `as_`."""
    span = _span(as_, begin, end)
    quality, scored = all_models(settings=model_set), model_names(",".join(models))
    with locator_for(location) as locator:
        table = open_logs(paths, locator=locator, mos=mos_of(quality), models=quality, span=span)
    _warn([f"damaged: {damage}" for damage in table.damages])
    for unread in table.unread:
        warnings.warn(f"not read: {unread}", stacklevel=3)
    if wrong := table.wrong_clocks.in_words():
        warnings.warn(wrong, stacklevel=3)
    if table.passed_over:
        warnings.warn(passed_over_in_words(table.passed_over), stacklevel=3)
    selection = table.select(span, where)
    # A DuckDB relation accepts no parameters, so the selected rows are written to a temporary table.
    scores = [f"{call(quality[name])} AS {name}" for name in scored]
    # The cursor stays open, because the relation needs it. The database closes when its last connection is released.
    cursor = table.cursor()
    rows = selection.sql("* EXCLUDE (mos, shown_ms, content)", *scores, totals=COUNTERS)
    cursor.execute(f"CREATE TEMP TABLE message AS {rows}", selection.parameters)
    if as_ == "duckdb":
        return cursor.table("message")
    with cursor:
        ordered = cursor.sql("SELECT * FROM message ORDER BY received_ms, session_id, seq")
        return ordered.df() if as_ == "pandas" else ordered.pl()
