"""Which copy of a message counts, and whether the other copies have the same content.

A message is identified by `(session_id, seq)`. The copy that was received first counts. Within one millisecond, the servers' names
decide, and then the content, so that the order of files changes nothing. A copy with the same content is a duplicate. A copy with
another content is a conflict: a second message under the number of the first. The fields that servers add (`received_ms`, `ip`,
`weight`, `via`) are no content. Neither is `sent_ms`, which some senders write again at each attempt, nor a top-level field that
this version does not read.
"""

from feedback_wire.message import FIELDS

RANK = ("received_ms", "via", "ip", "weight")
"""The fields that decide which copy counts; the content decides after them."""

DUPLICATE = "CREATE TABLE duplicate (session_id VARCHAR, seq BIGINT, received_ms BIGINT, content UBIGINT, conflict BOOLEAN)"
"""SQL: creates the table of copies that were left out."""

CONTENT = f"hash({', '.join(field.name for field in FIELDS if field.name != 'sent_ms')}, json(extra))"
"""SQL: all that a message says as one number; `json` takes spaces and escapes out, in which the forms of a log differ."""


def ranked_copies(rows: str) -> str:
    """SQL: `rows`, with columns `content` and `sent` (its `sent_ms`), with `place` (1: the copy that counts) and `conflict`."""
    order = f"PARTITION BY session_id, seq ORDER BY {', '.join(RANK)}, content, sent"
    return f"""
        SELECT *, row_number() OVER copies AS place, content IS DISTINCT FROM first_value(content) OVER copies AS conflict
        FROM {rows} WINDOW copies AS ({order})
    """
