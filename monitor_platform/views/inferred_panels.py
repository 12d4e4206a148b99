"""The panels of a session with what a model inferred from its packets, beside what the session reported."""

from collections.abc import Sequence, Set
from dataclasses import dataclass

from bokeh.models import ColumnDataSource, CustomJSHover, Quad, Range1d

from feedback_analysis.inferences.inferred_values import InferredSession
from feedback_analysis.measures.registry import MEASURES, Kind, Measure
from feedback_analysis.messages.sessions import Stretch
from monitor_platform.views.palette import CATEGORIES, GRADE_COLOURS
from monitor_platform.views.plots import Plots
from monitor_platform.views.session_panel import SessionBand, SessionLine, SessionPanel

PROBABILITY = Measure(name="stalled_probability", title="Stalled", kind=Kind.MEAN, unit="%", range=(0.0, 1.0))
HEIGHT = Measure(name="height", title="Height of the picture", kind=Kind.MEAN, unit="px")


@dataclass(frozen=True, slots=True, kw_only=True)
class InferredSeries:
    """The slots of a session by one model, and the heights that the session reported, one for each of its messages."""

    slots: InferredSession
    heights: Sequence[float | None]

    def until(self, end_ms: int) -> "InferredSeries":
        """The slots that begin before `end_ms`."""
        shown = sum(at < end_ms for at in self.slots.at_ms)
        series = {name: values[:shown] for name, values in self.slots.series.items()}
        slots = InferredSession(model=self.slots.model, at_ms=self.slots.at_ms[:shown], series=series)
        return InferredSeries(slots=slots, heights=self.heights)

    def line(self, measure: Measure) -> SessionLine:
        """The inferred values of a measure."""
        return SessionLine(
            measure=measure, at_ms=self.slots.at_ms, values=self.slots.series[measure.name], title=f"{measure.title}, inferred"
        )


class InferredPanels:
    """The probability of a stall above the reported stalls, the MOS with its band, and the height of the picture."""

    def __init__(self, plots: Plots, x_range: Range1d, clock: CustomJSHover) -> None:
        self._stalled = SessionPanel(plots, x_range, clock, CATEGORIES[1:2], dense=0)
        self._mos = SessionPanel(plots, x_range, clock, CATEGORIES[:2], banded=True, dense=1)
        self._height = SessionPanel(plots, x_range, clock, CATEGORIES[:2], dense=1)
        self._stalls = ColumnDataSource({"begin": [], "end": []})
        ground = Quad(left="begin", right="end", bottom=0, top=1, fill_color=GRADE_COLOURS[0], fill_alpha=0.25, line_color=None)
        plots.draw(self._stalled.figure, self._stalls, ground, level="underlay")
        self.panels = (self._stalled, self._mos, self._height)

    def show(self, inferred: InferredSeries, mos: SessionLine, ribbon: Sequence[Stretch], breaks: Set[int]) -> None:
        """`mos` and `ribbon`: what the session reported."""
        stalls = [each for each in ribbon if each.state == "stalled"]
        self._stalls.data = {"begin": [each.from_ms for each in stalls], "end": [each.to_ms for each in stalls]}
        self._stalled.show("Stalled (%): inferred; orange: reported", [inferred.line(PROBABILITY)], set())
        band = SessionBand(at_ms=inferred.slots.at_ms, low=inferred.slots.series["mos_low"], high=inferred.slots.series["mos_high"])
        both = [mos, inferred.line(MEASURES["mos"])]
        self._mos.show("MOS: reported, inferred – –; grey: its band", both, breaks, band)
        heights = SessionLine(measure=HEIGHT, at_ms=mos.at_ms, values=inferred.heights[: len(mos.at_ms)])
        self._height.show("Height (px): reported, inferred – –", [heights, inferred.line(HEIGHT)], breaks)

    def clear(self) -> None:
        """Hide the panels."""
        self._stalls.data = {"begin": [], "end": []}
        for panel in self.panels:
            panel.clear()
            panel.figure.visible = False
