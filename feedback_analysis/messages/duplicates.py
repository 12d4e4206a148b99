"""Which copy of a message counts, and whether the others say the same.

A message is `(session_id, seq)`. The copy that was received first counts; what one millisecond cannot settle, the servers' names
and then the content settle, so the order of files changes nothing. A copy with the same content is a duplicate. One with other
content is a conflict: a second message under the number of the first. What the servers put before a message (`received_ms`, `ip`,
`weight`, `via`) is no content. Nor is `sent_ms`, which some senders write anew at each attempt, nor a top-level field that this
version does not read.
"""

from feedback_wire.message import FIELDS

RANK = ("received_ms", "via", "ip", "weight")
"""What settles which copy counts, before the content does."""

DUPLICATE = "CREATE TABLE duplicate (session_id VARCHAR, seq BIGINT, received_ms BIGINT, content UBIGINT, conflict BOOLEAN)"
"""SQL of the table of copies that were left out."""

CONTENT = f"hash({', '.join(field.name for field in FIELDS if field.name != 'sent_ms')}, json(extra))"
"""SQL: all that a message says as one number; `json` takes spaces and escapes out, in which the forms of a log differ."""


def ranked_copies(rows: str) -> str:
    """SQL: `rows`, with columns `content` and `sent` (its `sent_ms`), with `place` (1: the copy that counts) and `conflict`."""
    order = f"PARTITION BY session_id, seq ORDER BY {', '.join(RANK)}, content, sent"
    return f"""
        SELECT *, row_number() OVER copies AS place, content IS DISTINCT FROM first_value(content) OVER copies AS conflict
        FROM {rows} WINDOW copies AS ({order})
    """
