"""Sums of groups of inferences: of how many sessions they are, and the distribution of each inferred value."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import duckdb

from feedback_analysis.measures.selection import Span
from feedback_analysis.record_groups import RecordGroup, distributions, groups_of
from feedback_analysis.record_table import RecordTable
from feedback_wire.inference import INFERENCE_FIELDS

DIMENSIONS = ("model", "model_sha256", "source", "training_id", "session_id", "address", "flow", "height", "via")
"""What inferences can be grouped and filtered by."""

VALUES = tuple(field.name for field in INFERENCE_FIELDS if not field.required and field.kind is not str)
"""The fields with numbers about the session; their names state their units."""

_NUMBERS = (
    f"UNPIVOT (SELECT {', '.join(f'{name}::DOUBLE AS {name}' for name in VALUES)} FROM chosen) ON * INTO NAME key VALUE number"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class InferenceGroup(RecordGroup):
    """One group of inferences: how many there are, and of how many sessions."""

    inferences: int
    sessions: int

    @property
    def counts(self) -> dict[str, int]:
        return {"inferences": self.inferences, "sessions": self.sessions}

    @property
    def in_words(self) -> str:
        return f"{self.inferences} inferences of {self.sessions} sessions"


def summarize_inferences(
    table: RecordTable,
    by: Sequence[str] = (),
    where: Mapping[str, str] | None = None,
    *,
    span: Span | None = None,
    top: int | None = None,
) -> list[InferenceGroup]:
    """A summary of each group of `by`, the largest first, of the inferences that match `where`.

    `span`: only those received in it (None: all). `top`: only so many groups.

    A session without a known `session_id` counts as that of its flow, or of its address. ValueError if a name is no dimension.
    """
    with table.reading() as db:
        groups = groups_of(db, table.kind, by, where or {}, inference_dimension, span=span, top=top)
        return [_group(db, found, count) for found, count in groups]


def _group(db: duckdb.DuckDBPyConnection, by: Mapping[str, str | None], inferences: int) -> InferenceGroup:
    counted = db.execute("SELECT count(DISTINCT coalesce(session_id, flow, address)) FROM chosen").fetchall()
    return InferenceGroup(by=by, inferences=inferences, sessions=int(counted[0][0]), values=distributions(db, _NUMBERS))


def inference_dimension(name: str) -> str:
    """SQL: the value of a dimension of `inference` as text; ValueError if there is no such dimension."""
    if name in DIMENSIONS:
        return f"{name}::VARCHAR"
    raise ValueError(f"{name!r} is not a dimension of inferences; use one of {', '.join(DIMENSIONS)}")
