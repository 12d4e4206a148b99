"""Which log a record goes to: by this server's clock, but never into a period before the newest log's.

Readers ask for all logs after the newest stem that they have in full, so a log that sorted before it would never be fetched. When
the clock is set back, time therefore stands still in the names until the clock has caught up.
"""

from feedback_wire.log_name import LAST_PART, Form, LogName


def next_log(now_ms: int, newest: LogName | None, *, server: str, roll_s: int) -> LogName:
    """The name of the log to begin now; its stem is greater than that of `newest`, the last one there was."""
    begins_s = now_ms // 1000 // roll_s * roll_s
    name = LogName(begins_s, server, 0, Form.JOURNAL)
    if newest is None or name.stem > newest.stem:
        return name
    if newest.server == server and newest.part < LAST_PART:
        return LogName(newest.begins_s, server, newest.part + 1, Form.JOURNAL)
    return LogName(newest.begins_s + roll_s, server, 0, Form.JOURNAL)


def remaining_s(name: LogName, now_ms: int, *, open_for_s: float, roll_s: int) -> float:
    """Seconds until the open log `name` has to be closed; it is due at 0 or below.

    A clock that was set back would hold a log open for as long as it was set back by, so twice its period by the monotonic clock
    (`open_for_s`) ends it too.
    """
    by_clock_s = name.begins_s + roll_s - now_ms / 1000
    return min(by_clock_s, 2 * roll_s - open_for_s)


def received_ms(now_ms: int, name: LogName, last_ms: int) -> int:
    """The time to write into records: the clock's, but within a log it never goes backwards, nor before the log's own begin."""
    return max(now_ms, last_ms, name.begins_s * 1000)
