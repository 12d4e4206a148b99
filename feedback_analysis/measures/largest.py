"""The largest groups of an answer, and one group for all the others: whatever is grouped by, an answer stays short.

The others are read as one group, `(other)`, not added up from their answers: so distinct peers and quantiles are exact as well.
"""

from dataclasses import replace

import duckdb

from feedback_analysis.measures.exact import exact_sum
from feedback_analysis.measures.selection import OTHER, Kept, Selection

DEFAULT = 1_000
"""Groups, unless a question says otherwise: twice the ISPs of a large audience."""

MOST = 10_000
"""Groups that a question of somebody else may ask for: about 12 MB of JSON."""


def largest(
    cursor: duckdb.DuckDBPyConnection, selection: Selection, top: int, *, among: str, parameters: dict[str, object] | None = None
) -> tuple[Selection, int]:
    """`selection` with its `top` groups of the most messages told apart, and how many groups are left out of them.

    `among`: a relation with `selection`'s groups, by_0, by_1, …, to count them in; of `parameters`, if it needs any.
    """
    if not selection.by:
        return selection, 0
    names = ", ".join(selection.aliases)
    all_other = " AND ".join(f"{alias} = '{OTHER}'" for alias in selection.aliases)
    found = f"SELECT count(*) FROM (SELECT DISTINCT {names} FROM {among} WHERE NOT ({all_other}))"
    [(groups,)] = cursor.execute(found, parameters or {}).fetchall()
    if groups <= top:
        return selection, 0
    return narrowed(cursor, selection, top, table="largest"), int(groups) - top


def narrowed(cursor: duckdb.DuckDBPyConnection, selection: Selection, top: int, *, table: str) -> Selection:
    """`selection` with its `top` groups of the most messages told apart; they stand in the temporary `table`."""
    aliases = selection.aliases
    columns = ", ".join(f"{alias} AS {table}_{at}" for at, alias in enumerate(aliases))
    all_other = " AND ".join(f"{alias} = '{OTHER}'" for alias in aliases)
    cursor.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE {table} AS
        SELECT {columns} FROM ({selection.sql("weight")}) WHERE NOT ({all_other}) GROUP BY {", ".join(aliases)}
        ORDER BY {exact_sum("weight")} DESC, {", ".join(aliases)} LIMIT {top}
        """,
        selection.parameters,
    )
    return replace(selection, kept=(*selection.kept, Kept(table=table, names=tuple(selection.by))))
