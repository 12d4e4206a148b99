"""The sessions of a slice, worst first, and one session with all its messages from join to leave.

The state between two messages is derived from the counters of time played and time stalled. If neither grew, the viewer had paused.
A session is silent between two messages that are more than two periods apart if a number between theirs is missing. These states
are derived, so they have other names than the events.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from feedback_analysis.measures.loss import session_losses
from feedback_analysis.measures.registry import LOWER_IS_BETTER, MEASURES, Kind, Measure, measure_of
from feedback_analysis.measures.selection import Span
from feedback_analysis.messages.expressions import number_of
from feedback_analysis.messages.session_counters import COUNTERS, increases, totals
from feedback_analysis.messages.table import FeedbackTable

PlaybackState = Literal["starting", "playing", "stalled", "paused", "silent", "gone"]

FACTS = ("peer_id", "channel", "isp", "area", "district", "country", "app", "platform", "ip", "via")
SERIES = (
    "upload_kbps",
    "download_kbps",
    "playback_kbps",
    "continuity",
    "mos",
    "buffer_ms",
    "partners",
    "p2p_ratio",
)
NEIGHBOURS = ("area", "isp")
"""The dimensions in which a session and its neighbours have the same value."""

MOST_MESSAGES = 100_000
"""A month with a message every 30 s. If there are more messages, the latest are read."""

_READ = ("received_ms", "seq", "event", "uptime_ms", "startup_ms", "stall_count", "stall_ms", "played_ms", *SERIES)
# If less than this share of an interval was played or stalled, the rest was a pause, not a rounding error.
_PAUSED_SHARE = 0.5


WORST = "worst"

SORTS = {
    WORST: "",
    "value": "value",
    "peer": "peer_id",
    "session": "session_id",
    "since": "first_ms",
    "length": "last_ms - first_ms",
    "startup": "startup_ms",
    "stalls": "stall_count",
    "stalled": "stall_ms",
    "longest": "longest_stall_ms",
    **{name: name for name in ("channel", "isp", "district", "platform", "mos")},
}
"""What sessions can be sorted by: SQL by name."""

_LARGEST_FIRST = frozenset({"since", "length", "startup", "stalls", "stalled", "longest"})


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRow:
    """A session in a list. `value` is its own value of the requested measure, `longest_stall_ms` the longest stall that
    ended in the time range. Fields that it never sent are None.
    """

    session_id: str
    peer_id: str
    channel: str
    isp: str
    district: str | None
    platform: str
    first_ms: int
    last_ms: int
    left: bool
    messages: int
    value: float | None
    mos: float | None
    startup_ms: int | None
    stall_count: int | None
    stall_ms: int | None
    longest_stall_ms: float | None


@dataclass(frozen=True, slots=True)
class Stretch:
    """The state from `from_ms` to `to_ms` (Unix ms). `stalled_ms`: the stalled time that was reported for it.

    A stall that began before the last message was sent may be longer than the interval at whose end it is drawn.
    """

    from_ms: int
    to_ms: int
    state: PlaybackState
    stalled_ms: int = 0


@dataclass(frozen=True, slots=True)
class Stalls:
    """`count` new stalls of `for_ms` in total, reported at `at_ms` (Unix ms). 0: only the time grew."""

    at_ms: int
    count: int
    for_ms: int


@dataclass(frozen=True, slots=True)
class LongestStall:
    """The length of the longest stall, and the time of the message (Unix ms) that reported its end."""

    at_ms: int
    length_ms: float


@dataclass(frozen=True, slots=True)
class Band:
    """The 10th and 90th percentile of the neighbours in each minute; None where there was no neighbour."""

    at_ms: tuple[int, ...]
    low: tuple[float | None, ...]
    high: tuple[float | None, ...]
    neighbours: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeSession:
    """One session. `series[name][i]` is the value in the message of `at_ms[i]` (Unix ms by the server's clock), or None.

    `messages` is the number of messages; if there are more than MOST_MESSAGES, the other fields cover the latest. `lost` is the
    number of lost messages, `implausible` the missing numbers that the session cannot have used (see measures/loss.py).
    """

    session_id: str
    facts: dict[str, str | None]
    messages: int
    at_ms: tuple[int, ...]
    series: dict[str, tuple[float | None, ...]]
    ribbon: tuple[Stretch, ...]
    stalls: tuple[Stalls, ...]
    longest_stall: LongestStall | None
    startup_ms: int | None
    lost: int
    implausible: int
    left: bool

    @property
    def span(self) -> Span:
        return Span(self.at_ms[0], self.at_ms[-1] + 1)


def list_sessions(
    table: FeedbackTable,
    *,
    measure: str,
    span: Span,
    where: Mapping[str, str] | None = None,
    starts: str = "",
    most: int = 100,
    sort: str = WORST,
    reverse: bool = False,
    least_s: float = 0,
) -> list[SessionRow]:
    """The sessions with messages in `span`, the worst by `measure` first. `starts`: the first characters of the peer or session id.

    `sort`: one of SORTS; `reverse`: in the opposite order. `least_s`: only sessions that lasted at least so long in `span`.
    ValueError for a measure that has no value per peer, and for another `sort`.
    """
    if sort not in SORTS:
        raise ValueError(f"{sort!r} does not sort sessions; choose from {', '.join(SORTS)}")
    chosen = measure_of(measure, "histogram")
    selection = table.select(span, where or {}, ("session_id",))
    rows = selection.measured(chosen)
    longest = selection.measured(MEASURES["longest_stall_ms"])
    order = _order(chosen, sort, reverse=reverse)
    sql = f"""
        WITH heard AS ({selection.sql("*", totals=COUNTERS)}),
        facts AS (
            SELECT session_id, arg_max(peer_id, seq) AS peer_id, arg_max(channel, seq) AS channel, arg_max(isp, seq) AS isp,
                   arg_max(district, seq) AS district, arg_max(platform, seq) AS platform,
                   min(received_ms) AS first_ms, max(received_ms) AS last_ms, bool_or(event = 'leave') AS gone,
                   count(*) AS messages, avg(mos) AS mos,
                   max(startup_ms) AS startup_ms, max(stall_count) AS stall_count, max(stall_ms) AS stall_ms
            FROM heard GROUP BY session_id
            HAVING $starts = '' OR starts_with(session_id, $starts) OR starts_with(arg_max(peer_id, seq), $starts)
        ),
        measured AS (
            SELECT by_0 AS session_id, {number_of(chosen)} AS value FROM ({rows.sql}) GROUP BY by_0
        ),
        stalls AS (
            SELECT by_0 AS session_id, max(value) AS longest_stall_ms FROM ({longest.sql}) GROUP BY by_0
        )
        SELECT session_id, peer_id, channel, isp, district, platform, first_ms, last_ms, gone, messages, value, mos,
               startup_ms, stall_count, stall_ms, longest_stall_ms
        FROM facts LEFT JOIN measured USING (session_id) LEFT JOIN stalls USING (session_id) WHERE last_ms - first_ms >= $least_ms
        ORDER BY {order} NULLS LAST, session_id LIMIT $most
    """
    given = {"starts": starts, "most": most, "least_ms": round(least_s * 1000)}
    with table.reading() as cursor:
        found = cursor.execute(sql, selection.parameters | given).fetchall()
    names = SessionRow.__slots__
    return [SessionRow(**dict(zip(names, row, strict=True))) for row in found]


def _order(measure: Measure, sort: str, *, reverse: bool) -> str:
    """SQL: what sessions are sorted by, with its direction.

    The worst sessions are those with the largest product: how much worse than the mean of the listed sessions (by time), times
    how long the session lasted. A measure with one value per session, or the longest stall, is not multiplied by time.
    """
    lower_is_better = measure.name in LOWER_IS_BETTER
    if sort == WORST and measure.kind in (Kind.MEAN, Kind.RATIO):
        length = "(last_ms - first_ms)"
        mean = f"(sum(value * {length}) OVER () / nullif(sum({length}) FILTER (WHERE value IS NOT NULL) OVER (), 0))"
        worse_by = f"value - {mean}" if lower_is_better else f"{mean} - value"
        expression, descends = f"({worse_by}) * {length}", True
    elif sort in (WORST, "value"):
        expression, descends = "value", lower_is_better
    else:
        expression, descends = SORTS[sort], sort in _LARGEST_FIRST
    return f"{expression} {'DESC' if descends != reverse else 'ASC'}"


def whole_session(table: FeedbackTable, *, session_id: str, period_s: float) -> WholeSession | None:
    """One session, in the order of its messages; None if the table has no message of it."""
    selection = table.select(None, {"session_id": session_id})
    order = f"ORDER BY seq DESC LIMIT {MOST_MESSAGES}"
    with table.reading() as cursor:
        sent = cursor.execute(f"{selection.sql(*_READ)} {order}", selection.parameters).fetchall()[::-1]
        facts = cursor.execute(f"{selection.sql(*FACTS)} {order}", selection.parameters).fetchall()[::-1]
        [(messages,)] = cursor.execute(f"SELECT count(*) FROM ({selection.sql('seq')})", selection.parameters).fetchall()
        gaps = session_losses(cursor, selection, selection.sessions(cursor))
        missing, lost = next(iter(cursor.execute(f"SELECT missing, lost FROM ({gaps})").fetchall()), (0, 0))
        lengths = selection.measured(MEASURES["longest_stall_ms"], "received_ms")
        longest = f"SELECT seq, received_ms, value FROM ({lengths.sql}) WHERE value > 0 ORDER BY value DESC, seq LIMIT 1"
        longest_stall = cursor.execute(longest, selection.parameters).fetchone()
    if not sent:
        return None
    columns = dict(zip(_READ, zip(*sent, strict=True), strict=True))
    at_ms = _moments(columns)
    columns |= {name: tuple(totals(columns[name])) for name in COUNTERS}
    startup_ms = next((value for value in reversed(columns["startup_ms"]) if value is not None), None)
    left = "leave" in columns["event"]
    return WholeSession(
        session_id=session_id,
        facts={name: _last(column) for name, column in zip(FACTS, zip(*facts, strict=True), strict=True)},
        messages=messages,
        at_ms=at_ms,
        series={name: columns[name] for name in SERIES},
        ribbon=_ribbon(at_ms, columns, startup_ms, round(period_s * 1000), left=left),
        stalls=_stalls(at_ms, columns["stall_count"], columns["stall_ms"]),
        longest_stall=_longest(longest_stall, dict(zip(columns["seq"], at_ms, strict=True))),
        startup_ms=startup_ms,
        lost=lost,
        implausible=missing - lost,
        left=left,
    )


def neighbours(table: FeedbackTable, *, of: WholeSession, measure: str, minutes: int = 60) -> Band:
    """The sessions of the same area and ISP in the same minutes, without the session itself: at most its last `minutes`."""
    until_ms = of.at_ms[-1] + 1
    begin_ms = max(of.at_ms[0], until_ms - minutes * 60_000)
    where = {name: value for name in NEIGHBOURS if (value := of.facts[name]) is not None}
    chosen = measure_of(measure, "histogram")
    step = f"(received_ms - {begin_ms}) // 60000 AS step"
    rows = table.select(Span(begin_ms, until_ms), where, ("session_id",)).measured(chosen, step, aliases=("step",))
    own = rows.parameters | {"own": of.session_id}
    sql = f"""
        SELECT step, quantile_cont(value, [0.1, 0.9]), count(*) FROM (
            SELECT step, by_0, {number_of(chosen)} AS value FROM ({rows.sql}) WHERE by_0 <> $own GROUP BY ALL
        ) WHERE value IS NOT NULL GROUP BY step ORDER BY step
    """
    with table.reading() as cursor:
        found = {at: (low_high, count) for at, low_high, count in cursor.execute(sql, own).fetchall()}
    steps = range((until_ms - begin_ms + 59_999) // 60_000)
    bounds = [found[at][0] if at in found else (None, None) for at in steps]
    return Band(
        at_ms=tuple(begin_ms + at * 60_000 + 30_000 for at in steps),
        low=tuple(low for low, _ in bounds),
        high=tuple(high for _, high in bounds),
        neighbours=max((count for _, count in found.values()), default=0),
    )


def _moments(columns: Mapping[str, Sequence[int | None]]) -> tuple[int, ...]:
    """When each message was built, by the server's clock: derived from the session's uptime if it sends it; never decreasing.

    A lower uptime than before means that the player restarted. The time until the restart is not known, so each run of the player
    has its own begin.
    """
    received = [int(at or 0) for at in columns["received_ms"]]
    uptime = columns["uptime_ms"]
    runs = _runs(uptime)
    begins: dict[int, int] = {}
    for at, up, run in zip(received, uptime, runs, strict=True):
        if up is not None:
            begins[run] = min(begins.get(run, at), at - up)
    moments, last = [], 0
    for at, up, run in zip(received, uptime, runs, strict=True):
        last = max(last, at if up is None else min(at, begins[run] + up))
        moments.append(last)
    return tuple(moments)


def _runs(uptime: Sequence[int | None]) -> list[int]:
    """For each message, how many times the player restarted before it."""
    runs, run, before = [], 0, 0
    for up in uptime:
        if up is not None:
            run += up < before
            before = up
        runs.append(run)
    return runs


def _ribbon(
    at_ms: Sequence[int], columns: Mapping[str, Sequence[int | None]], startup_ms: int | None, period_ms: int, *, left: bool
) -> tuple[Stretch, ...]:
    began = at_ms[0]
    # Without its first message, the session began before `began`, and already had a picture.
    first = columns["seq"][0] == 0
    picture = began + (startup_ms if first else 0) if startup_ms is not None else None
    pieces: list[Stretch] = []
    for at in range(1, len(at_ms)):
        begin, end = at_ms[at - 1], at_ms[at]
        if end - begin > 2 * period_ms and columns["seq"][at] != (columns["seq"][at - 1] or 0) + 1:
            pieces.append(Stretch(begin, end, "silent"))
            continue
        if picture is None or end <= picture:
            pieces.append(Stretch(begin, end, "starting"))
            continue
        if begin < picture:
            pieces.append(Stretch(begin, picture, "starting"))
            begin = picture
        goes_on = bool(pieces) and pieces[-1].state == "stalled" and not _grown(columns["stall_count"], at)
        played = _played(begin, end, _grown(columns["played_ms"], at), _grown(columns["stall_ms"], at), goes_on=goes_on)
        if goes_on and played[0].state == "stalled":
            played[0] = _joined_stretch(pieces.pop(), played[0])
        pieces += played
    if left:
        pieces.append(Stretch(at_ms[-1], at_ms[-1], "gone"))
    return tuple(_joined(pieces))


def _played(begin: int, end: int, played_ms: int | None, stalled_ms: int | None, *, goes_on: bool) -> list[Stretch]:
    """The states of an interval: played or paused, then stalled. When it stalled is not known, so a new stall is put at the end.

    `goes_on`: it began with a stall, and no other stall began in it.
    """
    stalled = min(stalled_ms or 0, end - begin)
    known = played_ms is not None and stalled_ms is not None
    paused = known and (played_ms or 0) + stalled < _PAUSED_SHARE * (end - begin)
    state: PlaybackState = "paused" if paused else "playing"
    if goes_on:
        pieces = [Stretch(begin, begin + stalled, "stalled", stalled_ms or 0), Stretch(begin + stalled, end, state)]
    else:
        pieces = [Stretch(begin, end - stalled, state), Stretch(end - stalled, end, "stalled", stalled_ms or 0)]
    return [piece for piece in pieces if piece.to_ms > piece.from_ms]


def _grown(so_far: Sequence[int | None], at: int) -> int | None:
    before, now = so_far[at - 1], so_far[at]
    return None if now is None else max(0, now - (before or 0))


def _joined(pieces: Sequence[Stretch]) -> list[Stretch]:
    """Adjacent stretches of one state as one stretch, but each stall is its own."""
    joined: list[Stretch] = []
    for piece in pieces:
        if joined and joined[-1].state == piece.state != "stalled" and joined[-1].to_ms == piece.from_ms:
            joined[-1] = _joined_stretch(joined[-1], piece)
        else:
            joined.append(piece)
    return joined


def _joined_stretch(first: Stretch, second: Stretch) -> Stretch:
    return Stretch(first.from_ms, second.to_ms, first.state, first.stalled_ms + second.stalled_ms)


def _stalls(at_ms: Sequence[int], counts: Sequence[int | None], times: Sequence[int | None]) -> tuple[Stalls, ...]:
    each = zip(at_ms, increases(counts), increases(times), strict=True)
    return tuple(Stalls(at, count or 0, time or 0) for at, count, time in each if count or time)


def _longest(found: tuple[int, int, float] | None, moments: Mapping[int, int]) -> LongestStall | None:
    """`found`: its message's number and time of arrival, and its length. `moments`: when the messages that were read were built."""
    if found is None:
        return None
    seq, received_ms, length_ms = found
    return LongestStall(moments.get(seq, received_ms), length_ms)


def _last(values: Sequence[str | None]) -> str | None:
    return next((value for value in reversed(values) if value is not None), None)
