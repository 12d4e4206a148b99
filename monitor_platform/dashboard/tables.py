"""The data of each view as a table, for screen readers and spreadsheets.

The page and the CSV of `/api/v1/table` have the same rows. Each row has its n.
"""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

from feedback_analysis.measures.regions import RegionValue
from feedback_analysis.measures.registry import MEASURES, Measure, measure_of
from feedback_analysis.measures.selection import MEAN, OTHER
from feedback_analysis.spreadsheet import write_csv
from monitor_platform.dashboard.display_names import dimension_name, place_name
from monitor_platform.dashboard.page_data import AUDIENCE, PageData, distributed, series_of
from monitor_platform.dashboard.timeline_curves import OTHERS
from monitor_platform.views.histogram_view import range_at
from monitor_platform.views.number_format import NOTHING, difference, format_value, largest_of, title_of

Cell = str | float | None

MOST_LISTED = 400
"""Rows on a page. A fine grid has tens of thousands of areas; a timeline has fewer points than this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """`columns`: heading, and the measure that formats the numbers (None: plain). `filters`: the filter of each row."""

    columns: tuple[tuple[str, Measure | None], ...]
    rows: list[tuple[Cell, ...]]
    filters: list[tuple[str, str] | None]

    def for_page(self) -> dict[str, Any]:
        """Ready for the page: cells as text, and the number of rows that only the CSV has."""
        listed = self.rows[:MOST_LISTED]
        numbers = ([cell for cell in column if not isinstance(cell, str)] for column in zip(*listed, strict=True))
        kinds = [(measure, largest_of(each)) for (_, measure), each in zip(self.columns, numbers, strict=False)]
        rows = [[_cell_text(cell, *kind) for cell, kind in zip(row, kinds, strict=True)] for row in listed]
        head = [title for title, _ in self.columns]
        return {"head": head, "rows": rows, "filters": self.filters[:MOST_LISTED], "more": len(self.rows) - len(listed)}

    def csv(self) -> str:
        """For spreadsheets: plain numbers, and no text that a spreadsheet takes for a formula."""
        out = io.StringIO()
        write_csv(out, [title for title, _ in self.columns], self.rows)
        return out.getvalue()


def _cell_text(cell: Cell, measure: Measure | None, largest: float) -> str:
    if isinstance(cell, str):
        return cell
    if measure is not None:
        return format_value(measure, cell, largest=largest)
    if cell is None:
        return NOTHING
    return f"{cell:,.0f}" if float(cell).is_integer() else f"{cell:,.2f}"  # the CSV has all digits


def _timeline(data: PageData) -> Table:
    names = [AUDIENCE, *series_of(data.query)]
    measures = [measure_of(name, "timeline") for name in names]
    columns = [("Time (UTC)", None), *((stored_title(measure), measure) for measure in measures)]
    if data.audience is None or data.timeline is None:
        return Table(columns=tuple(columns), rows=[], filters=[])
    lines = [data.audience.values[AUDIENCE], *(data.timeline.values[name] for name in names[1:])]
    comparison = data.comparison
    if comparison is not None and comparison.audience is not None and comparison.timeline is not None:
        columns += [(f"{stored_title(measure)}, {comparison.other.name}", measure) for measure in measures]
        lines += [_padded(comparison.audience.values[AUDIENCE], len(lines[0]))]
        lines += [_padded(comparison.timeline.values[name], len(lines[0])) for name in names[1:]]
    times = [_utc(at) for at in data.audience.at_ms]
    rows = [tuple(row) for row in zip(times, *lines, strict=True)]
    return Table(columns=tuple(columns), rows=rows, filters=[None] * len(rows))


def stored_title(measure: Measure) -> str:
    """The title with the unit of the numbers in a CSV; the cells of a page have their own unit."""
    stored = {"ms": f"{measure.title} (ms)", "%": measure.title}
    return stored.get(measure.unit) or title_of(measure)


def _padded(values: Sequence[float | None], length: int) -> tuple[float | None, ...]:
    return tuple(values[:length]) + (None,) * (length - len(values))


def _breakdown(data: PageData) -> Table:
    by, measure = data.query.by, distributed(data.query.measure)
    rows: list[tuple[Cell, ...]] = []
    for line in data.breakdown:
        at = line.audience.values[AUDIENCE] if line.audience is not None else ()
        now = at[-1] if at else None
        name = OTHERS if line.name is None else place_name(line.name)
        whole = line.whole
        numbers = (None, None, None) if whole is None else (whole.mean, whole.peers, float(whole.sessions))
        rows.append((name, numbers[0], now, *numbers[1:]))
    columns = (
        (dimension_name(by), None),
        (measure.title, measure),
        ("Peers at the end", None),
        ("n (peers)", None),
        ("n (sessions)", None),
    )
    return Table(columns=columns, rows=rows, filters=[None if line.name is None else (by, line.name) for line in data.breakdown])


def _regions(column: str, values: Sequence[RegionValue], against: Sequence[RegionValue] | None, data: PageData) -> Table:
    measure = measure_of(data.query.measure, "region")
    there = {value.region: value.value for value in against or ()}
    columns = [(dimension_name(column), None), (measure.title, measure), ("n (peers)", None)]
    rows: list[tuple[Cell, ...]] = [(place_name(each.region), each.value, each.peers) for each in values]
    if data.regions_there is not None:
        columns += [(data.regions_there.side.name.capitalize(), measure), ("Difference", measure)]
        apart = [(there.get(each.region), difference(each.value, there.get(each.region))) for each in values]
        rows = [(*row, *two) for row, two in zip(rows, apart, strict=True)]
    return Table(columns=tuple(columns), rows=rows, filters=[(column, each.region) for each in values])


def _map(data: PageData) -> Table:
    return _regions("area", data.areas or (), data.regions_there.areas if data.regions_there else None, data)


def _district(data: PageData) -> Table:
    return _regions("district", data.districts or (), data.regions_there.districts if data.regions_there else None, data)


def _histogram(data: PageData) -> Table:
    measure, found = distributed(data.query.measure), data.histogram
    edges = found.edges if found is not None else ()
    columns: list[tuple[str, Measure | None]] = [
        ("From", measure),
        ("To", measure),
        ("Share of peers (%)", None),
        ("n (peers)", None),
    ]
    shares = found.shares if found is not None else ()
    peers = found.peers if found is not None else 0
    rows: list[tuple[Cell, ...]] = [
        (low, high, round(share * 100, 4), round(share * peers, 6))
        for (low, high), share in zip(pairwise(edges), shares, strict=True)
    ]
    if data.comparison is not None and data.comparison.histogram is not None:
        columns.append((f"Share, {data.comparison.other.name} (%)", None))
        rows = [(*row, round(share * 100, 4)) for row, share in zip(rows, data.comparison.histogram.shares, strict=True)]
    filters = [(MEAN + measure.name, range_at(edges, at)) for at in range(len(rows))]
    return Table(columns=tuple(columns), rows=rows, filters=list(filters))


def _slices(data: PageData) -> Table:
    found = data.slices or []
    measure = slice_measure(data)
    columns = (("By", None), ("Slice", None), (measure.title, measure), ("The rest", measure), ("n (peers)", None))
    rows: list[tuple[Cell, ...]] = [
        (dimension_name(each.dimension), place_name(each.name), each.mean, each.rest, each.peers, float(each.sessions), each.impact)
        for each in found
    ]
    filters = [None if each.name == OTHER else (each.dimension, each.name) for each in found]
    return Table(columns=(*columns, ("n (sessions)", None), ("Impact", None)), rows=rows, filters=list(filters))


def slice_measure(data: PageData) -> Measure:
    """The measure that ranks slices: the chosen one, unless it is an `extra`. For an `extra`, the better direction is unknown."""
    measure = distributed(data.query.measure)
    return measure if measure.name in MEASURES else MEASURES["mos"]


def _utc(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


BY_VIEW: dict[str, Callable[[PageData], Table]] = {
    "timeline": _timeline,
    "breakdown": _breakdown,
    "map": _map,
    "district": _district,
    "histogram": _histogram,
    "slices": _slices,
}
"""The table of each view."""
