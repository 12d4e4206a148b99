"""What is missing from the records of a time range. The pages show it next to the measures."""

from dataclasses import dataclass

from feedback_analysis.measures.exact import number
from feedback_analysis.measures.loss import received_weight
from feedback_analysis.measures.selection import Span
from feedback_analysis.measures.summary import costs
from feedback_analysis.messages.table import FeedbackTable


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """The effects of duplicates, damage and loss. `lost`, `late` and `sent` are weights of messages; `sent` includes received and
    lost ones. `late` messages may still arrive.

    `conflicts` are other messages under the number of a known message, `implausible` missing numbers that no sender can have used,
    `unread_logs` logs of which nothing could be read.
    """

    duplicates: int
    conflicts: int
    unreadable: int
    lost: float
    late: float
    implausible: int
    sent: float
    unread_logs: int


def missing(table: FeedbackTable, *, span: Span, proved_ms: int | None = None) -> Missing:
    """What is missing from all records in `span`; filters do not apply, because the fields of a lost message are not known.

    `proved_ms`: see `costs`, which distinguishes lost messages from late ones.
    """
    with table.reading() as cursor:
        everything = table.select(span, {})
        sessions = everything.numbered_sessions(cursor)
        received = received_weight(cursor, sessions)
        cost = costs(cursor, table, everything, sessions, proved_ms=proved_ms)
    return Missing(**cost, sent=number(received) + cost["lost"], unread_logs=len(table.unread))
