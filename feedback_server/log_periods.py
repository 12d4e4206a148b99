"""Choose the log of a record by this server's clock, but never a log of an earlier period than the newest log's.

Readers request all logs after the newest stem that they have completely, so they would never fetch a log that sorts before it. If
the clock is set back, log names keep the time of the newest log until the clock has caught up.
"""

from feedback_wire.kinds import RecordKind
from feedback_wire.log_name import LAST_PART, Form, LogName


def next_log(now_ms: int, newest: LogName | None, *, server: str, roll_s: int, kind: RecordKind = RecordKind.FEEDBACK) -> LogName:
    """The name of the next log. Its stem is greater than the stem of `newest`, the newest log so far."""
    begins_s = now_ms // 1000 // roll_s * roll_s
    name = LogName(begins_s, server, 0, Form.JOURNAL, kind)
    if newest is None or name.stem > newest.stem:
        return name
    if newest.server == server and newest.part < LAST_PART:
        return LogName(newest.begins_s, server, newest.part + 1, Form.JOURNAL, kind)
    return LogName(newest.begins_s + roll_s, server, 0, Form.JOURNAL, kind)


def remaining_s(name: LogName, now_ms: int, *, open_for_s: float, roll_s: int) -> float:
    """Seconds until the open log `name` must be closed; 0 or less if it must be closed now.

    A clock that was set back would keep a log open for that time. So a log is also closed after twice its period by the monotonic
    clock (`open_for_s`).
    """
    by_clock_s = name.begins_s + roll_s - now_ms / 1000
    return min(by_clock_s, 2 * roll_s - open_for_s)


def received_ms(now_ms: int, name: LogName, last_ms: int) -> int:
    """The time for `received_ms`: the clock's time, but never before the log's start or the previous record of the log."""
    return max(now_ms, last_ms, name.begins_s * 1000)
