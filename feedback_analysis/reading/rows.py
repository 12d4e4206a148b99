"""The SQL with which DuckDB reads verified logs: one SELECT with the same columns and the same checks for every form.

A value of the wrong type or out of its bounds becomes NULL. A row in which a required field is NULL is unreadable; the SELECT keeps
it, so that the caller can count it.
"""

from collections.abc import Collection, Mapping, Sequence

from feedback_analysis.reading.verified_log import VerifiedLog
from feedback_wire.field import Field
from feedback_wire.log_name import Form
from feedback_wire.record import NAMED_FIELDS, RECORD_FIELDS

SQL_TYPES = {str: "VARCHAR", int: "BIGINT", float: "DOUBLE"}

_TYPES = {field.name: SQL_TYPES[field.kind] for field in NAMED_FIELDS}

ALL = (*(field.name for field in NAMED_FIELDS), "extra")

# Sampling one in a million is the most that is useful. The bound keeps exact sums of weighted values within 128 bits.
LARGEST_WEIGHT = 10**6
_MOST = {"weight": LARGEST_WEIGHT}

MOST_CLAIMED = 10**9
"""A message that claims a larger value of these fields counts as if it claimed this one, as rates have this bound in the format.
Otherwise, few messages of a hostile sender, with weights, exceed the 128 bits of a sum, and every query fails."""
_CLAIMED = frozenset({"startup_ms", "buffer_ms", "partners"})

_REQUIRED = [field.name for field in NAMED_FIELDS if field.required]

READABLE = " AND ".join(f"{name} IS NOT NULL" for name in _REQUIRED)
"""SQL: whether a row is a complete record."""

NO_OBJECT = "the line is not a JSON object"
"""The reason for a row that has none of the required fields."""

_WHY_UNREADABLE = f"""
    CASE WHEN coalesce({", ".join(f"{name}::VARCHAR" for name in _REQUIRED)}) IS NULL THEN '{NO_OBJECT}'
    {" ".join(f"WHEN {name} IS NULL THEN '{name}'" for name in _REQUIRED)} END
"""


def reasons_in_words(counts: Mapping[str, int]) -> str:
    """The reasons of `unreadable_sql` as the end of a sentence, the most frequent one first; empty if there are none."""
    ordered = sorted(counts.items(), key=lambda each: (-each[1], each[0]))
    each = [f"{reason if reason == NO_OBJECT else f'{reason} is missing or invalid'} ({count})" for reason, count in ordered]
    return f": {'; '.join(each)}" if each else ""


def unreadable_sql(rows: str) -> str:
    """A SELECT of (reason, count) of the unreadable rows among `rows`, a table or a subquery in parentheses.

    The reason is the first required field without a value of its type and within its bounds, or `NO_OBJECT`.
    """
    return f"SELECT {_WHY_UNREADABLE} AS reason, count(*) FROM {rows} WHERE NOT ({READABLE}) GROUP BY reason"


def rows_sql(logs: Sequence[VerifiedLog], columns: Collection[str] = ALL) -> tuple[str, dict[str, object]]:
    """A SELECT of `columns` and of the columns that `READABLE` needs from `logs`, all of one form; and its parameters.

    DuckDB spends most of its time on parsing values of JSON lines, so it reads only the needed columns.
    """
    first = logs[0]
    wanted = [field for field in NAMED_FIELDS if field.required or field.name in columns]
    chosen = [f"{clean(field) if field.name in first.columns else _nothing(field)} AS {field.name}" for field in wanted]
    return _select(chosen, logs, columns), _paths(logs)


def readable_rows_sql(logs: Sequence[VerifiedLog], columns: Collection[str] = ALL) -> tuple[str, dict[str, object]]:
    """A SELECT of `columns` of the readable rows of `logs`, all of one form; and its parameters.

    The same as `rows_sql` with WHERE `READABLE`, but faster: DuckDB does not know that a valid value needs no CASE.
    """
    first = logs[0]
    required = [field for field in NAMED_FIELDS if field.required]
    readable = " AND ".join(_is_valid(field) if field.name in first.columns else "false" for field in required)
    cleaned = {field: _value(field) if field.required else clean(field) for field in NAMED_FIELDS if field.name in columns}
    chosen = [f"{sql if field.name in first.columns else _nothing(field)} AS {field.name}" for field, sql in cleaned.items()]
    return f"{_select(chosen, logs, columns)} WHERE {readable}", _paths(logs)


def _select(chosen: Sequence[str], logs: Sequence[VerifiedLog], columns: Collection[str]) -> str:
    first = logs[0]
    extra = [f"{_EXTRA if 'extra' in first.columns else 'NULL::JSON'} AS extra"] if "extra" in columns else []
    names = [field.name for field in NAMED_FIELDS if field.required or field.name in columns] + ["extra"] * len(extra)
    return f"SELECT {', '.join([*chosen, *extra])} FROM {scan(first, _TYPES, names)}"


def _paths(logs: Sequence[VerifiedLog]) -> dict[str, object]:
    return {"paths": [str(log.path) for log in logs]}


_EXTRA = "CASE WHEN json_valid(extra) AND json_type(extra) = 'OBJECT' THEN extra::JSON END"


def scan(log: VerifiedLog, types: Mapping[str, str], names: Sequence[str]) -> str:
    """SQL: the rows of the logs in the parameter `paths`, all like `log`.

    `types`: the SQL types of columns that are not text. `names`: the columns to read from JSON lines.
    """
    match log.form:
        case Form.PARQUET:
            return "read_parquet($paths)"
        case Form.CSV:
            return (
                f"read_csv($paths, columns = {_typed(log.columns, types)}, header = true, auto_detect = false, delim = ',', "
                "quote = '\"', escape = '\"', nullstr = '', allow_quoted_nulls = false, ignore_errors = true, compression = 'zstd')"
            )
        case Form.JSONL | Form.JOURNAL | None:
            compression = "none" if log.form is None else "zstd"
            return (
                f"read_json($paths, format = 'newline_delimited', columns = {_typed(names, types)}, ignore_errors = true, "
                f"compression = '{compression}')"
            )


def _typed(names: Sequence[str], types: Mapping[str, str]) -> str:
    return "{" + ", ".join(f"{_quoted(name)}: '{types.get(name, 'VARCHAR')}'" for name in names) + "}"


def _quoted(name: str) -> str:
    return "'" + name.replace("'", "''") + "'"


def clean(field: Field) -> str:
    """SQL: the value of a field, of any kind of records, if it is valid, else NULL."""
    value = f"least({_value(field)}, {MOST_CLAIMED})" if field.name in _CLAIMED else _value(field)
    return f"CASE WHEN {_is_valid(field)} THEN {value} END"


def _value(field: Field) -> str:
    if field.choices:
        return field.name
    return f"{field.name}::VARCHAR" if field.kind is str else f"TRY_CAST({field.name} AS {SQL_TYPES[field.kind]})"


def _is_valid(field: Field) -> str:
    """SQL: whether the field has a value of its type and within its bounds."""
    value = _value(field)
    if field.choices:
        return f"{value} IN ({', '.join(_quoted(choice) for choice in field.choices)})"
    if field.kind is str:
        # Empty text is no value, except in the servers' own fields: `ip` is empty if the address was dropped.
        return f"{value} IS NOT NULL" if field in RECORD_FIELDS else f"{value} <> ''"
    most = field.most or _MOST.get(field.name)
    bounds = [f"{value} >= {field.least}"] + ([f"{value} <= {most}"] if most else [])
    # DuckDB trusts the minimum and maximum in a Parquet file, which do not take NaN into account.
    return " AND ".join([*bounds, f"isfinite({value})"] if field.kind is float else bounds)


def _nothing(field: Field) -> str:
    return f"NULL::{SQL_TYPES[field.kind]}"
