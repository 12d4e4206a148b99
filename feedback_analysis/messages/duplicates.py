"""Which copy of a message counts, and whether the other copies have the same content.

A message is identified by `(session_id, seq)`. The copy that was received first counts. Within one millisecond, the servers' names
decide, and then the content, so that the order of files changes nothing. A copy with the same content is a duplicate. A copy with
another content is a conflict: a second message under the number of the first. The fields that servers add (`received_ms`, `ip`,
`weight`, `via`) are no content. Neither is `sent_ms`, which some senders write again at each attempt, nor a top-level field that
this version does not read, nor the order of the keys in `extra`.
"""

from feedback_wire.message import FIELDS

RANK = ("received_ms", "via", "ip", "weight")
"""The fields that decide which copy counts; the content decides after them."""

DUPLICATE = "CREATE TABLE duplicate (session_id VARCHAR, seq BIGINT, received_ms BIGINT, content UBIGINT, conflict BOOLEAN)"
"""SQL: creates the table of copies that were left out; `content` is the canonical one."""

_FIELDS = ", ".join(field.name for field in FIELDS if field.name != "sent_ms")
CONTENT = f"xor(hash({_FIELDS}), hash(json(extra)))"
"""SQL: the content of a message as one number. `json` removes spaces and escapes, in which the forms of a log differ."""


def canonical(row: str = "") -> str:
    """SQL: `content` of a row without the order of the keys in `extra`, which some senders change at each attempt.

    Sorting keys takes about 2 µs a message, so it is done for copies only. Objects within `extra` keep their order, and so does an
    `extra` with one key twice. `row`: the prefix of the columns, such as `feedback.`.
    """
    extra = f"json({row}extra)"
    entries = f"list_sort(map_entries(TRY_CAST({extra} AS MAP(VARCHAR, JSON))))"
    return f"xor(xor({row}content, hash({extra})), hash(coalesce({entries}::VARCHAR, {extra}::VARCHAR)))"


def ranked_copies(rows: str) -> str:
    """SQL: `rows` with `place` (1: the copy that counts) and `conflict`.

    `rows` have the columns `content`, `canonical` (the content without the order of keys) and `sent` (their `sent_ms`).
    """
    order = f"PARTITION BY session_id, seq ORDER BY {', '.join(RANK)}, content, sent"
    return f"""
        SELECT *, row_number() OVER copies AS place, canonical IS DISTINCT FROM first_value(canonical) OVER copies AS conflict
        FROM {rows} WINDOW copies AS ({order})
    """
