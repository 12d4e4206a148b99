"""The measures by name: title, unit, how they are aggregated, and which views can show them."""

from dataclasses import dataclass
from enum import Enum
from typing import Literal

from feedback_analysis.measures.selection import EXTRA

View = Literal["timeline", "region", "histogram"]


class Kind(Enum):
    """How a measure is aggregated."""

    MEAN = "weighted mean over the messages that carry the field"
    SESSION = "one value per session, weighted mean over sessions"
    RATIO = "weighted sum over weighted sum"
    LONGEST = "largest value of all messages"
    CONCURRENT = "distinct peers with a message within one period"
    NEW = "peers by their first message"
    DISTINCT = "distinct peers"
    CUMULATIVE = "distinct peers since the span began"
    MESSAGES = "messages, each once"


COUNTS = frozenset({Kind.CONCURRENT, Kind.NEW, Kind.DISTINCT, Kind.CUMULATIVE, Kind.MESSAGES})


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """`digits` after the decimal point; `range`: the fixed range of an axis, or None if it follows the data.

    A share has the unit "%" and values from 0 to 1; `shown_in` says how people read it.
    """

    name: str
    title: str
    kind: Kind
    unit: str = ""
    digits: int = 0
    range: tuple[float, float] | None = None
    views: frozenset[View] = frozenset({"timeline", "region", "histogram"})


_PER_SPAN = frozenset[View]({"timeline", "region"})
_OVER_TIME = frozenset[View]({"timeline"})

_ALL = (
    Measure(name="mos", title="MOS", kind=Kind.MEAN, digits=2, range=(1.0, 5.0)),
    Measure(name="mos_stalling", title="MOS by stalls", kind=Kind.SESSION, digits=2, range=(1.0, 5.0)),
    Measure(name="qoe_linear", title="Linear QoE", kind=Kind.MEAN, unit="Mbit/s", digits=2),
    Measure(name="startup_score", title="Startup score", kind=Kind.SESSION, digits=1, range=(0.0, 100.0)),
    Measure(name="good_sessions", title="Good sessions", kind=Kind.SESSION, unit="%", digits=1, range=(0.0, 1.0)),
    Measure(name="rebuffering_ratio", title="Rebuffering ratio", kind=Kind.RATIO, unit="%", digits=2),
    Measure(name="stalls_per_hour", title="Stalls per hour", kind=Kind.RATIO, unit="/h", digits=1),
    Measure(name="stall_ms", title="Stall length", kind=Kind.RATIO, unit="ms"),
    Measure(name="longest_stall_ms", title="Longest stall", kind=Kind.LONGEST, unit="ms"),
    Measure(name="start_failures", title="Failed to start", kind=Kind.SESSION, unit="%", digits=1),
    Measure(name="continuity", title="Continuity", kind=Kind.MEAN, unit="%", digits=2, range=(0.0, 1.0)),
    Measure(name="startup_ms", title="Startup", kind=Kind.SESSION, unit="ms"),
    Measure(name="upload_kbps", title="Upload rate", kind=Kind.MEAN, unit="kbit/s"),
    Measure(name="download_kbps", title="Download rate", kind=Kind.MEAN, unit="kbit/s"),
    Measure(name="playback_kbps", title="Playback rate", kind=Kind.MEAN, unit="kbit/s"),
    Measure(name="contribution_ratio", title="Contribution ratio", kind=Kind.RATIO, digits=3),
    Measure(name="p2p_ratio", title="Share from peers", kind=Kind.MEAN, unit="%", digits=1, range=(0.0, 1.0)),
    Measure(name="buffer_ms", title="Buffer", kind=Kind.MEAN, unit="ms"),
    Measure(name="partners", title="Partners", kind=Kind.MEAN, unit="peers", digits=1),
    Measure(name="concurrent_peers", title="Concurrent peers", kind=Kind.CONCURRENT, unit="peers", views=_PER_SPAN),
    Measure(name="new_peers", title="New peers", kind=Kind.NEW, unit="peers", views=_OVER_TIME),
    Measure(name="total_peers", title="Distinct peers", kind=Kind.DISTINCT, unit="peers", views=_PER_SPAN),
    Measure(name="cumulative_peers", title="Distinct peers so far", kind=Kind.CUMULATIVE, unit="peers", views=_OVER_TIME),
    Measure(name="messages", title="Messages", kind=Kind.MESSAGES, unit="messages", views=_PER_SPAN),
)
MEASURES: dict[str, Measure] = {measure.name: measure for measure in _ALL}
"""Every built-in measure, in the order of the dashboard's lists."""


START_FAILURES = "start_failures"

LOWER_IS_BETTER = frozenset({"startup_ms", "rebuffering_ratio", "stalls_per_hour", "stall_ms", "longest_stall_ms", START_FAILURES})
"""Measures of which a smaller value is the better one."""


def named(name: str) -> Measure | None:
    """The measure called `name`, which may be a number in `extra`; None if there is none."""
    if name.startswith(EXTRA) and len(name) > len(EXTRA):
        return Measure(name=name, title=name.removeprefix(EXTRA), kind=Kind.MEAN, digits=2)
    return MEASURES.get(name)


def measure_of(name: str, view: View) -> Measure:
    """The measure called `name`, as `named`; ValueError if there is none or `view` cannot show it."""
    measure = named(name)
    if measure is None or view not in measure.views:
        choices = ", ".join(each.name for each in _ALL if view in each.views)
        raise ValueError(f"{name!r} is not a measure of the {view} view; choose from {choices}, {EXTRA}NAME")
    return measure


MEGABIT_KBPS = 1000.0


def shown_in(measure: Measure, largest: float = 0.0) -> tuple[float, str, int]:
    """How people read the measure: the factor of its values, the unit, and the digits after the decimal point.

    Times in ms are shown in s, and shares in percent. Rates are shown in Mbit/s if the `largest` value that is shown with this unit
    is at least 1 Mbit/s. Data for programs keeps the unit of the measure.
    """
    if measure.unit == "kbit/s" and abs(largest) >= MEGABIT_KBPS:
        return 1 / MEGABIT_KBPS, "Mbit/s", 2
    if measure.unit == "ms":
        return 0.001, "s", 2
    return (100.0 if measure.unit == "%" else 1.0), measure.unit, measure.digits
