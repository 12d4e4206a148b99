"""Limits the number of names of each field in the live table, before messages are stored.

Logs keep every name, and so do `analyze` and recorded files. Names that the live table does not keep are counted by field.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

import duckdb

from feedback_analysis.measures.selection import OTHER
from feedback_analysis.messages.kept_names import SURE, Decision, Names, NameUse

FIELDS: Mapping[str, str] = MappingProxyType(
    {"channel": "channel", "isp": "coalesce(incoming.isp, located_isp)", "app": "app", "platform": "platform"}
)
"""The fields with a budget, and the SQL of their values; areas, districts and countries come from the platform's own maps."""

EXTRA_NAMES, EXTRA_VALUES, EXTRA_BYTES = "extra_names", "extra_values", "extra_bytes"

DEFAULTS: Mapping[str, int] = MappingProxyType(
    # The Olympics had tens of channels and 504 ISPs. Both may be four times as many before anything is left out.
    {"channel": 1_000, "isp": 2_000, "app": 200, "platform": 200, EXTRA_NAMES: 64, EXTRA_VALUES: 500, EXTRA_BYTES: 4_096}
)
"""`extra_names`: names in `extra`; `extra_values`: different texts per name; `extra_bytes`: bytes of the entries of one message."""

LARGEST = 100_000
"""The largest budget: the networks of this many names take some 100 MB."""


def budgets_of(settings: Iterable[str]) -> dict[str, int]:
    """DEFAULTS with the changes of `settings`, each FIELD=COUNT; ValueError for any other text."""
    most = dict(DEFAULTS)
    for each in settings:
        name, _, count = each.partition("=")
        if name not in DEFAULTS or not (count.isascii() and count.isdecimal()) or int(count) > LARGEST:
            raise ValueError(
                f"--budget is {each!r}; it needs FIELD=COUNT such as channel=2000, with a count up to {LARGEST:,} and one of the "
                f"fields {', '.join(DEFAULTS)}"
            )
        most[name] = int(count)
    return most


# Without addresses (`--ip drop` of a coordinator), senders are distinguished by peer.
_NETWORK = "coalesce(nullif(incoming.ip, ''), incoming.peer_id)"
_NAME_USE = f"list(DISTINCT {_NETWORK})[:{SURE}], max(received_ms), count(*)"
_NAMES = "(SELECT unnest($names))"


class Budgets:
    """`most`: the budget by field, as in DEFAULTS. `left_out`: by field, the values stored as `(other)` or not at all."""

    def __init__(self, most: Mapping[str, int] = DEFAULTS) -> None:
        self.most = most
        self.left_out: Counter[str] = Counter()
        self._names = {name: Names(most[name]) for name in (*FIELDS, EXTRA_NAMES)}
        self._values: dict[str, Names] = {}

    @property
    def kept(self) -> dict[str, int]:
        """How many names are kept, by field."""
        values = max((len(names) for names in self._values.values()), default=0)
        return {name: len(names) for name, names in self._names.items()} | {EXTRA_VALUES: values}

    def apply(self, db: duckdb.DuckDBPyConnection) -> None:
        """Rewrite the table `incoming` so that it keeps within the budgets; the table `location` has its addresses."""
        for name, value in FIELDS.items():
            self._apply_to_field(db, name, value)
        self._apply_to_extra(db)

    def drop_before(self, received_ms: int) -> None:
        """Drop the names whose last message was received before `received_ms` (Unix ms), to make room for new names."""
        for names in (*self._names.values(), *self._values.values()):
            names.drop_before(received_ms)

    def _apply_to_field(self, db: duckdb.DuckDBPyConnection, name: str, value: str) -> None:
        source = "incoming JOIN location USING (ip)"
        rows = db.execute(f"SELECT {value} AS name, {_NAME_USE} FROM {source} WHERE {value} IS NOT NULL GROUP BY name").fetchall()
        decision = self._decide(self._names[name], rows)
        self._count(name, rows, decision)
        if decision.left_out:
            chosen = f"SELECT incoming.rowid FROM {source} WHERE {value} IN {_NAMES}"
            db.execute(
                f"UPDATE incoming SET {name} = $other WHERE rowid IN ({chosen})", {"other": OTHER, "names": [*decision.left_out]}
            )
        if decision.given_up:
            parameters = {"other": OTHER, "names": [*decision.given_up]}
            [(changed,)] = db.execute(f"UPDATE feedback SET {name} = $other WHERE {name} IN {_NAMES}", parameters).fetchall()
            self.left_out[name] += changed

    def _apply_to_extra(self, db: duckdb.DuckDBPyConnection) -> None:
        """Apply the budgets of `extra`. Stored messages keep their `extra`, even if another name replaces one of its names."""
        db.execute(
            f"""
            CREATE OR REPLACE TEMP TABLE entry AS
            SELECT incoming.rowid AS row, {_NETWORK} AS ip, NULL AS peer_id, received_ms, entry.key, entry.value, entry.id,
                   entry.type IN ('VARCHAR', 'OBJECT', 'ARRAY') AS text,
                   sum(strlen(entry.key) + strlen(entry.value)) OVER (PARTITION BY incoming.rowid ORDER BY entry.id) AS bytes
            FROM incoming, json_each(extra) AS entry
            """
        )
        self._bound_entries(db)
        self._bound_names(db)
        self._bound_values(db)
        db.execute("DROP TABLE entry")

    def _bound_entries(self, db: duckdb.DuckDBPyConnection) -> None:
        if _most(db, "bytes") > self.most[EXTRA_BYTES]:
            self._remove(db, EXTRA_BYTES, "bytes > $most", {"most": self.most[EXTRA_BYTES]})

    def _bound_names(self, db: duckdb.DuckDBPyConnection) -> None:
        rows = db.execute(f"SELECT key, {_NAME_USE} FROM entry AS incoming GROUP BY key").fetchall()
        decision = self._decide(self._names[EXTRA_NAMES], rows)
        for name in decision.given_up:
            self._values.pop(name, None)
        if decision.left_out:
            self._remove(db, EXTRA_NAMES, f"key IN {_NAMES}", {"names": [*decision.left_out]})

    def _bound_values(self, db: duckdb.DuckDBPyConnection) -> None:
        found = db.execute(f"SELECT key, value, {_NAME_USE} FROM entry AS incoming WHERE text GROUP BY key, value").fetchall()
        by_name: dict[str, list[tuple[str, list[str], int, int]]] = {}
        for name, *row in found:
            by_name.setdefault(name, []).append((row[0], row[1], row[2], row[3]))
        refused: list[tuple[str, str]] = []
        for name, rows in by_name.items():
            decision = self._decide(self._values.setdefault(name, Names(self.most[EXTRA_VALUES])), rows)
            self._count(EXTRA_VALUES, rows, decision)
            refused += [(name, value) for value in decision.left_out]
        if refused:
            names, values = (list(column) for column in zip(*refused, strict=True))
            refusals = "(SELECT unnest($names) AS key, unnest($values) AS value)"
            parameters = {"names": names, "values": values, "other": OTHER}
            rows_sql = f"SELECT DISTINCT row FROM entry SEMI JOIN {refusals} AS refused ON {_SAME}"
            value = "CASE WHEN refused.key IS NOT NULL THEN to_json($other) ELSE entry.value END"
            entries = f"entry LEFT JOIN {refusals} AS refused ON {_SAME}"
            _write(db, rows_sql, f"SELECT row, entry.key, {value} AS value FROM {entries}", parameters)

    def _remove(self, db: duckdb.DuckDBPyConnection, name: str, condition: str, parameters: dict[str, object]) -> None:
        """Delete the entries that meet `condition` from `entry` and from the messages."""
        [(removed,)] = db.execute(f"SELECT count(*) FROM entry WHERE {condition}", parameters).fetchall()
        self.left_out[name] += removed
        db.execute(f"CREATE OR REPLACE TEMP TABLE touched AS SELECT DISTINCT row FROM entry WHERE {condition}", parameters)
        db.execute(f"DELETE FROM entry WHERE {condition}", parameters)
        _write(db, "FROM touched", "SELECT row, key, value FROM entry", {})
        db.execute("DROP TABLE touched")

    def _decide(self, names: Names, rows: Iterable[Sequence[object]]) -> Decision:
        return names.add(NameUse(name=str(name), networks=networks, last_ms=last) for name, networks, last, _ in rows)  # type: ignore[arg-type]

    def _count(self, name: str, rows: Iterable[Sequence[object]], decision: Decision) -> None:
        self.left_out[name] += sum(int(str(row[-1])) for row in rows if row[0] in decision.left_out)


_SAME = "refused.key = entry.key AND refused.value = entry.value::VARCHAR"


def _most(db: duckdb.DuckDBPyConnection, column: str) -> int:
    [(most,)] = db.execute(f"SELECT coalesce(max({column}), 0) FROM entry").fetchall()
    return int(most)


def _write(db: duckdb.DuckDBPyConnection, rows: str, entries: str, parameters: Mapping[str, object]) -> None:
    """Write `extra` of the messages `rows` again, from `entries`: row, key, value."""
    made = f"SELECT row, json_group_object(key, value) AS made FROM ({entries}) SEMI JOIN ({rows}) USING (row) GROUP BY row"
    db.execute(
        f"""
        UPDATE incoming SET extra = changed.made
        FROM (SELECT row, made FROM ({rows}) LEFT JOIN ({made}) USING (row)) AS changed WHERE incoming.rowid = changed.row
        """,
        dict(parameters),
    )
