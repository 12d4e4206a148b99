"""`swarmscope.open_logs`, behind a lazy import: DuckDB takes a while to load."""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from feedback_analysis.geo.locator import locator_for
from feedback_analysis.location_settings import LocationSettings
from feedback_analysis.measures.selection import Span
from feedback_analysis.messages.load import open_logs
from feedback_analysis.messages.session_counters import COUNTERS
from feedback_analysis.moments import END_OF_TIME_MS, unix_ms
from feedback_analysis.quality.catalogue import catalogue, chosen, mos_of
from feedback_analysis.quality.model import call

_FORMS = ("pandas", "polars", "duckdb")


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
    """The messages as `as_` says."""
    if as_ not in _FORMS:
        raise ValueError(f"as_ is {as_!r}; choose from {', '.join(_FORMS)}")
    quality, scored = catalogue(settings=model_set), chosen(",".join(models))
    span = Span(0 if begin is None else unix_ms(begin), END_OF_TIME_MS if end is None else unix_ms(end))
    with locator_for(location) as locator:
        table = open_logs(paths, locator=locator, mos=mos_of(quality), models=quality, span=span)
    for damage in table.damages:
        warnings.warn(f"damaged: {damage}", stacklevel=3)
    for unread in table.unread:
        warnings.warn(f"not read: {unread}", stacklevel=3)
    selection = table.select(span, where)
    # A relation takes no parameters, so what is chosen is written into a table of its own first.
    scores = [f"{call(quality[name])} AS {name}" for name in scored]
    # Not closed, since that would close the relation too: the database ends when nobody holds a connection to it any more.
    cursor = table.cursor()
    rows = selection.sql("* EXCLUDE (mos, shown_ms, content)", *scores, totals=COUNTERS)
    cursor.execute(f"CREATE TEMP TABLE message AS {rows}", selection.parameters)
    if as_ == "duckdb":
        return cursor.table("message")
    with cursor:
        ordered = cursor.sql("SELECT * FROM message ORDER BY received_ms, session_id, seq")
        return ordered.df() if as_ == "pandas" else ordered.pl()
