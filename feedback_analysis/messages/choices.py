"""The values and names that a filter offers."""

from collections.abc import Mapping

from feedback_analysis.measures.selection import EXTRA, Span
from feedback_analysis.messages.table import FeedbackTable

MOST = 1_000
"""The most values or names in a list. Longer lists are of no use, and a URL can name any value."""


def choices(table: FeedbackTable, *, dimension: str, span: Span | None = None, where: Mapping[str, str] | None = None) -> list[str]:
    """The values of `dimension` (or `extra.NAME`), the most frequent first, at most MOST; ValueError if it is no dimension."""
    chosen = table.select(span, where or {}, (dimension,))
    sql = f"SELECT by_0 FROM ({chosen.sql('weight')}) GROUP BY by_0 ORDER BY sum(weight) DESC, by_0 LIMIT {MOST}"
    with table.reading() as cursor:
        return [value for (value,) in cursor.execute(sql, chosen.parameters).fetchall()]


def extra_measures(table: FeedbackTable) -> list[str]:
    """The dimensions `extra.NAME` that have a number in the latest `extra` of some session, the most frequent first."""
    # Reading all messages would take three times as long as a summary, and apps send the same names again.
    latest = "SELECT arg_max(extra, seq) AS extra FROM feedback WHERE extra IS NOT NULL GROUP BY session_id"
    pointer = "'/' || replace(replace(name, '~', '~0'), '/', '~1')"
    sql = f"""
        SELECT name FROM (SELECT extra, unnest(json_keys(extra)) AS name FROM ({latest}))
        GROUP BY name HAVING bool_or(json_type(extra, {pointer}) IN ('BIGINT', 'UBIGINT', 'DOUBLE'))
        ORDER BY count(*) DESC, name LIMIT {MOST}
    """
    with table.reading() as cursor:
        return [EXTRA + name for (name,) in cursor.execute(sql).fetchall()]


def extra_dimensions(table: FeedbackTable) -> list[str]:
    """The dimensions `extra.NAME` in the latest `extra` of all sessions, the most frequent first."""
    latest = "SELECT arg_max(extra, seq) AS extra FROM feedback WHERE extra IS NOT NULL GROUP BY session_id"
    names = f"SELECT unnest(json_keys(extra)) AS name FROM ({latest})"
    sql = f"SELECT name FROM ({names}) GROUP BY name ORDER BY count(*) DESC, name LIMIT {MOST}"
    with table.reading() as cursor:
        return [EXTRA + name for (name,) in cursor.execute(sql).fetchall()]
