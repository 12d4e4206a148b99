"""Convert records to columns and back without loss: a value without a column, or that does not fit its column, is kept in `other`.

The field definitions in feedback_wire give the column types. `null` and absent are the same. Coordinators refuse lines that are not
JSON, but such a line must not cost the whole log: it keeps its `received_ms`, and `other` keeps its text as `unreadable`.
"""

from typing import Any

import orjson
import pyarrow as pa

from feedback_wire.field import Field
from feedback_wire.kinds import CONTRACTS, Contract, RecordKind
from feedback_wire.record import RECEIVED_MS, RECORD_FIELDS

_ARROW = {str: pa.string(), int: pa.int64(), float: pa.float64()}
_PYTHON: dict[type, frozenset[type]] = {
    str: frozenset({str, type(None)}),
    int: frozenset({int, type(None)}),
    float: frozenset({float, int, type(None)}),
}


def _schema(contract: Contract) -> pa.Schema:
    named = [(field.name, _ARROW[field.kind]) for field in (*RECORD_FIELDS, *contract.fields)]
    return pa.schema([*named, *((name, pa.string()) for name in (*contract.objects, "other"))])


SCHEMAS = {kind: _schema(contract) for kind, contract in CONTRACTS.items()}
"""The columns of the logs of each kind."""

UNREADABLE = "unreadable"


def to_table(lines: bytes, kind: RecordKind = RecordKind.FEEDBACK) -> pa.Table:
    """The records of whole JSON lines, one row each, in the columns of `SCHEMAS`."""
    contract = CONTRACTS[kind]
    rows = [_decode(line) for line in lines.split(b"\n")[:-1]]
    arrays = [_column(rows, field) for field in (*RECORD_FIELDS, *contract.fields)]
    objects = [pa.array([_json(row.pop(name, None)) for row in rows], pa.string()) for name in contract.objects]
    other = pa.array([_json(row or None) for row in rows], pa.string())
    return pa.Table.from_arrays([*arrays, *objects, other], schema=SCHEMAS[kind])


def to_lines(table: pa.Table, kind: RecordKind = RecordKind.FEEDBACK) -> bytes:
    """The rows as JSON lines. Columns that another program removed or added become absent fields and unknown fields.

    ValueError without a column `received_ms`, or for a column type that JSON does not have.
    """
    if "received_ms" not in table.column_names:
        raise ValueError("there is no column received_ms, so these are not records")
    objects = CONTRACTS[kind].objects
    try:
        return b"".join(
            orjson.dumps(_row(row, objects), option=orjson.OPT_APPEND_NEWLINE)
            for batch in table.to_batches(max_chunksize=4096)
            for row in batch.to_pylist()
        )
    except orjson.JSONEncodeError as error:
        raise ValueError(f"a column has values that JSON cannot represent: {error}") from error


def _row(row: dict[str, Any], objects: tuple[str, ...]) -> dict[str, Any]:
    record = {name: value for name, value in row.items() if value is not None}
    record |= {name: _value(record[name]) for name in objects if name in record}
    other = _value(record.pop("other", None))
    return record | (other if isinstance(other, dict) else {})


def _value(text: object) -> Any:  # noqa: ANN401 - any JSON value
    """The JSON value in `text`; the text itself if it is not JSON, as in files of other programs."""
    try:
        return orjson.loads(text) if isinstance(text, str) else text
    except orjson.JSONDecodeError:
        return text


def _decode(line: bytes) -> dict[str, Any]:
    try:
        row: dict[str, Any] = orjson.loads(line)
    except orjson.JSONDecodeError:
        received = RECEIVED_MS.match(line)
        text = line.decode("utf-8", "backslashreplace")
        return {"received_ms": int(received[1]) if received else None, UNREADABLE: text}
    return row


def _json(value: object) -> str | None:
    return None if value is None else orjson.dumps(value).decode()


def _column(rows: list[dict[str, Any]], field: Field) -> pa.Array:
    """Remove one field from all rows as a column. A value that does not fit stays in its row, and so goes into `other`."""
    values = [row.pop(field.name, None) for row in rows]
    arrow = _ARROW[field.kind]
    # pyarrow would silently turn true into 1.0 and 3.5 into 3, so check the types first.
    if _PYTHON[field.kind].issuperset(map(type, values)):
        try:
            return pa.array(values, arrow)
        except (pa.ArrowInvalid, OverflowError):
            pass  # a whole number that the column cannot represent exactly; it is found below
    fitting = [value if _fits(value, field.kind) else None for value in values]
    for row, value, kept in zip(rows, values, fitting, strict=True):
        if value is not kept:
            row[field.name] = value
    return pa.array(fitting, arrow)


def _fits(value: object, kind: type) -> bool:
    if type(value) not in _PYTHON[kind]:
        return False
    if type(value) is not int:
        return True
    return -(2**63) <= value < 2**63 if kind is int else abs(value) <= 2**53
