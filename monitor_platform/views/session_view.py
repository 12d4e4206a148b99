"""The figures of one session on one time axis: a ribbon of states, and panels with the measures that it reported.

The figures are made once. A panel without any value is hidden. A part of the ribbon shows its word if the page's script finds room
for it, and else on hover; the page lists all parts as text.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bokeh.core.properties import value as literally
from bokeh.layouts import column
from bokeh.models import (
    Column,
    ColumnDataSource,
    CustomJSHover,
    HoverTool,
    Quad,
    Range1d,
)
from bokeh.models.glyphs import Scatter, Text

from feedback_analysis.measures.registry import MEASURES, Measure, shown_in
from feedback_analysis.measures.selection import Span
from feedback_analysis.messages.sessions import Band, Stalls, Stretch, WholeSession
from monitor_platform.views import thinning
from monitor_platform.views.inferred_panels import InferredPanels, InferredSeries
from monitor_platform.views.mark_strip import Mark, MarkStrip
from monitor_platform.views.number_format import format_value, largest_of, title_of
from monitor_platform.views.palette import CATEGORIES, DARK_INK, GRADE_COLOURS, GROUND, LIGHT_INK
from monitor_platform.views.plots import LOCAL_AND_UTC, Plots
from monitor_platform.views.session_panel import TIP, SessionBand, SessionLine, SessionPanel, panel_frame

_BAD, _, _FAIR, _GOOD, _EXCELLENT = GRADE_COLOURS

# Fill colour, hatching, and a text colour that is legible on them.
STATES: Mapping[str, tuple[str, str, str]] = {
    "starting": (_GOOD, " ", DARK_INK),
    "playing": (_EXCELLENT, " ", LIGHT_INK),
    "stalled": (_BAD, " ", LIGHT_INK),
    "paused": (_FAIR, " ", DARK_INK),
    "silent": ("#d8dbe0", "/", DARK_INK),
    "gone": (GROUND, " ", DARK_INK),
}
_STALL = MEASURES["longest_stall_ms"]
RATES = ("playback_kbps", "download_kbps", "upload_kbps")

_RIBBON_TIP = """<div style="font:13px system-ui,sans-serif;padding:2px 4px;color:#1b2430">
<b>@state</b> @length<br>from @begin{custom}</div>"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownSession:
    """The part of a session that is shown: all of it, or up to a replay's clock."""

    span: Span
    at_ms: Sequence[int]
    series: Mapping[str, Sequence[float | None]]
    ribbon: Sequence[Stretch]
    stalls: Sequence[Stalls]

    @classmethod
    def of(cls, session: WholeSession, until_ms: int | None = None) -> "ShownSession":
        """The session up to `until_ms`. The time axis is always that of the whole session."""
        end = until_ms if until_ms is not None else session.span.to_ms
        shown = sum(at < end for at in session.at_ms)
        return cls(
            span=Span(session.span.from_ms, max(session.span.to_ms, session.span.from_ms + 1000)),
            at_ms=session.at_ms[:shown],
            series={name: values[:shown] for name, values in session.series.items()},
            ribbon=[_until(each, end) for each in session.ribbon if each.from_ms < end],
            stalls=[each for each in session.stalls if each.at_ms < end],
        )

    def line(self, name: str) -> SessionLine:
        """The values of a measure that the session reported."""
        return SessionLine(measure=MEASURES[name], at_ms=self.at_ms, values=self.series[name])


class SessionView:
    """The ribbon, the chosen measure with its neighbours, inferred beside reported values, rates, buffer and partners."""

    def __init__(self) -> None:
        self._range = Range1d(start=0, end=1)
        plots, clock = Plots(), CustomJSHover(code=LOCAL_AND_UTC)
        self._ribbon = _Ribbon(plots, self._range, clock)
        # The chosen measure stays, or the page would have no time axis.
        self._chosen = SessionPanel(plots, self._range, clock, CATEGORIES[:1], banded=True, stays=True)
        self._rates = SessionPanel(plots, self._range, clock, CATEGORIES[:3])
        self._buffer = SessionPanel(plots, self._range, clock, CATEGORIES[3:4])
        self._partners = SessionPanel(plots, self._range, clock, CATEGORIES[4:5])
        self._inferred = InferredPanels(plots, self._range, clock)
        self._panels = (self._chosen, *self._inferred.panels, self._rates, self._buffer, self._partners)
        panels = [panel.figure for panel in self._panels]
        self._marks = MarkStrip(plots, self._range)
        self.figure: Column = column(self._ribbon.figure, *panels, self._marks.figure, sizing_mode="stretch_both", spacing=4)

    def show(
        self,
        shown_session: ShownSession,
        measure: Measure,
        own: tuple[Sequence[int], Sequence[float | None]],
        band: Band,
        marks: Sequence[Mark] = (),
        inferred: InferredSeries | None = None,
    ) -> None:
        """`own`: the session's moments and values of the chosen measure. `marks`: the annotations of its time.

        `inferred`: what a model inferred about the session; None if there is nothing.
        """
        self._range.update(start=shown_session.span.from_ms, end=shown_session.span.to_ms)
        self._marks.show(marks, shown_session.span)
        # No line across a gap: there are no values in it.
        breaks = thinning.silences(shown_session.ribbon)
        self._ribbon.show(shown_session)
        title = title_of(measure, largest_of(own[1]))
        line = SessionLine(measure=measure, at_ms=own[0], values=own[1])
        grey = SessionBand(at_ms=band.at_ms, low=band.low, high=band.high)
        self._chosen.show(f"{title}; grey: neighbours", [line], breaks, grey)
        if inferred is None:
            self._inferred.clear()
        else:
            self._inferred.show(inferred, shown_session.line("mos"), shown_session.ribbon, breaks)
        rates = [shown_session.line(name) for name in RATES]
        unit = shown_in(rates[0].measure, largest_of(value for each in rates for value in each.values))[1]
        self._rates.show(f"{unit}: bitrate, download – –, upload ···", rates, breaks)
        for panel, name in ((self._buffer, "buffer_ms"), (self._partners, "partners")):
            panel.show(title_of(MEASURES[name]), [shown_session.line(name)], breaks)
        shown = [panel for panel in self._panels if panel.figure.visible]
        for panel in self._panels:
            panel.time_axis.visible = panel is shown[-1]

    def clear(self) -> None:
        """Remove all data from the figures."""
        self._inferred.clear()
        self._ribbon.show(None)
        for panel in self._panels:
            panel.clear()


class _Ribbon:
    """The ribbon: states with their words, and stalls as marks above it."""

    def __init__(self, plots: Plots, x_range: Range1d, clock: CustomJSHover) -> None:
        self.figure = panel_frame(plots, x_range, Range1d(start=0, end=1.5), height=64)
        self.stretches = ColumnDataSource(_no_stretches())
        self.stalls = ColumnDataSource({"at": [], "text": [], "title": []})
        block = Quad(left="begin", right="end", top=0.9, bottom=0.05, fill_color="colour", line_color="colour")
        block.update(hatch_pattern="hatch", hatch_color="ink", hatch_alpha=0.5)
        band = plots.draw(self.figure, self.stretches, block)
        word = Text(x="middle", y=0.475, text="word", text_color="ink", text_align="center", text_baseline="middle")
        word.update(text_font_size="12px", text_font=literally("system-ui, sans-serif"))
        plots.draw(self.figure, self.stretches, word)
        stall, red = Scatter(x="at", y=1.2, marker="inverted_triangle", size=10), STATES["stalled"][0]
        stall.update(line_color=red, fill_color=red)
        marks = plots.draw(self.figure, self.stalls, stall)
        self.figure.add_tools(HoverTool(renderers=[band], tooltips=_RIBBON_TIP, formatters={"@begin": clock}))
        self.figure.add_tools(HoverTool(renderers=[marks], tooltips=TIP, formatters={"@at": clock}))

    def show(self, shown_session: ShownSession | None) -> None:
        self.stretches.data = _no_stretches() if shown_session is None else _stretches(shown_session)
        stalls = () if shown_session is None else thinning.stalls(shown_session.stalls)
        self.stalls.data = {
            "at": [each.at_ms for each in stalls],
            "text": [stalls_in_words(each) for each in stalls],
            "title": ["reported"] * len(stalls),
        }


def stalls_in_words(stalls: Stalls) -> str:
    """ "2 stalls, 3.40 s"; "stalled, 3.40 s" if no stall is new."""
    what = f"{stalls.count:,} stall{'' if stalls.count == 1 else 's'}" if stalls.count else "stalled"
    return f"{what}, {format_value(_STALL, stalls.for_ms)}"


def stretch_in_words(stretch: Stretch) -> str:
    """The length of a state. That of a stall is the reported one, as in the facts of the session."""
    if stretch.state == "stalled" and stretch.stalled_ms:
        return format_value(_STALL, stretch.stalled_ms)
    return length_in_words(stretch.to_ms - stretch.from_ms)


def _until(stretch: Stretch, end_ms: int) -> Stretch:
    return stretch if stretch.to_ms <= end_ms else Stretch(stretch.from_ms, end_ms, stretch.state)


def length_in_words(ms: float) -> str:
    """ "45 s", "12 min", "3 h 05 min"."""
    seconds = round(ms / 1000)
    if seconds < 120:
        return f"{seconds}\u202fs"
    minutes = round(seconds / 60)
    return f"{minutes}\u202fmin" if minutes < 120 else f"{minutes // 60}\u202fh {minutes % 60:02}\u202fmin"


def _no_stretches() -> dict[str, list[Any]]:
    return {name: [] for name in ("begin", "end", "middle", "state", "word", "length", "colour", "hatch", "ink")}


def _stretches(shown_session: ShownSession) -> dict[str, list[Any]]:
    columns = _no_stretches()
    whole = shown_session.span.to_ms - shown_session.span.from_ms
    # After a leave the session has no state for the rest of the axis. This part is wide enough to hover.
    for each in thinning.stretches(shown_session.ribbon):
        end = each.to_ms if each.state != "gone" else shown_session.span.from_ms + round(whole * 1.005)
        fill, hatch, ink = STATES[each.state]
        columns["begin"].append(each.from_ms)
        columns["end"].append(end)
        columns["middle"].append((each.from_ms + end) / 2)
        columns["state"].append(each.state)
        columns["word"].append("")
        columns["length"].append(stretch_in_words(each) if each.state != "gone" else "")
        for name, value in (("colour", fill), ("hatch", hatch), ("ink", ink)):
            columns[name].append(value)
    return columns
