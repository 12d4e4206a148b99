"""What sessions reported about themselves, in the same terms as what models inferred about them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from feedback_analysis.measures.selection import Span
from feedback_analysis.messages.session_counters import COUNTERS
from feedback_analysis.messages.sessions import MOST_MESSAGES
from feedback_analysis.messages.table import FeedbackTable


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedValues:
    """The reports of one session. Values that it did not report are None.

    `stalled_ms` and `played_ms` are those of the selected time. `online_ms`: how long the session lasted by its own clock, or by
    the server's clock if it does not report its own.
    """

    session_id: str
    peer_id: str
    channel: str
    isp: str
    app: str
    platform: str
    first_ms: int
    last_ms: int
    messages: int
    stalled_ms: int | None
    played_ms: int | None
    online_ms: int
    continuity: float | None
    startup_ms: int | None
    mos: float | None
    download_kbps: float | None
    playback_kbps: float | None

    @property
    def counted_share(self) -> float | None:
        """The share of the due playback that was stalled, by the counters; None if nothing was due."""
        if self.stalled_ms is None or self.played_ms is None or self.stalled_ms + self.played_ms <= 0:
            return None
        return self.stalled_ms / (self.stalled_ms + self.played_ms)

    @property
    def stalled_share(self) -> float | None:
        """The same, by continuity if the session does not report the counters."""
        if (share := self.counted_share) is not None:
            return share
        return None if self.continuity is None else 1 - self.continuity


def reported_values(
    table: FeedbackTable, sessions: Sequence[str], *, span: Span | None, where: Mapping[str, str]
) -> list[ReportedValues]:
    """The reports of those of `sessions` that have selected messages."""
    if not sessions:
        return []
    selection = table.select(span, where)
    with table.reading() as cursor:
        sql = f"""
            SELECT session_id, arg_max(peer_id, seq), arg_max(channel, seq), arg_max(isp, seq), arg_max(app, seq),
                   arg_max(platform, seq), min(received_ms), max(received_ms), count(*), {_grown("stall_ms")},
                   {_grown("played_ms")}, round(any_value(online_s) * 1000)::BIGINT, avg(continuity), max(startup_ms),
                   avg(mos), avg(download_kbps), avg(playback_kbps)
            FROM ({selection.sql("*", totals=COUNTERS)}) JOIN ({selection.online(cursor)}) USING (session_id)
            WHERE session_id IN (SELECT unnest($sessions)) GROUP BY session_id
        """
        rows = cursor.execute(sql, selection.parameters | {"sessions": list(sessions)}).fetchall()
    names = ReportedValues.__slots__
    return [ReportedValues(**dict(zip(names, row, strict=True))) for row in rows]


def _grown(counter: str) -> str:
    """SQL: how much a counter has grown in the selected messages; a session counts from 0 at its first message."""
    return f"max({counter}) - CASE WHEN min(seq) = 0 THEN 0 ELSE min({counter}) END"


def reported_heights(table: FeedbackTable, session_id: str) -> tuple[float | None, ...]:
    """The height of the picture in each message of a session, as `whole_session` orders them: `extra.height` or `.resolution`."""
    selection = table.select(None, {"session_id": session_id})
    height = """
        coalesce(TRY_CAST(json_extract_string(extra, '$.height') AS DOUBLE),
                 TRY_CAST(split_part(json_extract_string(extra, '$.resolution'), 'x', 2) AS DOUBLE))
    """
    sql = f"SELECT {height} FROM ({selection.sql('extra', 'seq')}) ORDER BY seq DESC LIMIT {MOST_MESSAGES}"
    with table.reading() as cursor:
        return tuple(value for (value,) in cursor.execute(sql, selection.parameters).fetchall()[::-1])
