"""Which records a query speaks of: a span of time and a filter.

A filter restricts the records, and every measure is then what it would be if there were no others. Names of columns come from a
fixed list; whatever a user types, names and values in `extra` included, travels as a parameter.
"""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from feedback_analysis.messages.session_counters import COUNTERS, continued

DIMENSIONS = ("channel", "isp", "area", "district", "country", "app", "platform", "event", "via")
"""What records are told apart by."""

IDENTITIES = ("peer_id", "session_id")
"""What a filter may name beside the dimensions."""

EXTRA = "extra."
MEAN = "mean."
"""Begins the name of a filter by peers' own means: `mean.mos`, see filters.py."""

NOT = "not."
"""Begins the name of a filter that leaves values out: `not.isp`, with one value or a JSON list of them."""

UNKNOWN = "unknown"
"""The value of a text that a record does not carry."""


OTHER = "(other)"
"""The value that stands for all the values that are not kept or shown apart; an end host that sends it is counted there."""


class UnknownColumn(ValueError):  # noqa: N818 - it reads as what it says
    """A name that is no column to filter or group by."""

    def __init__(self, name: str) -> None:
        choices = ", ".join((*DIMENSIONS, *IDENTITIES, f"{EXTRA}NAME"))
        super().__init__(f"{name!r} is nothing to filter or group by; choose from {choices}")


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """From `from_ms` up to, and without, `to_ms`: Unix time in milliseconds, by the feedback server's clock."""

    from_ms: int
    to_ms: int

    def __post_init__(self) -> None:
        if self.from_ms > self.to_ms:
            raise ValueError(f"the span ends ({self.to_ms}) before it begins ({self.from_ms})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """The groups by `names` that are told apart: the rows of the temporary `table`, in columns `TABLE_0`, `TABLE_1`, …"""

    table: str
    names: tuple[str, ...]


@dataclass(slots=True)
class Selection:
    """SQL text and the parameters that it names. Groups that are not among the `kept` ones are one group, `(other)`."""

    span: Span | None
    where: Mapping[str, str]
    by: Sequence[str] = ()
    parameters: dict[str, object] = field(default_factory=dict)
    kept: Sequence[Kept] = ()

    def sql(self, *columns: str, totals: Collection[str] = ()) -> str:
        """SELECT `columns` and the groups' values as by_0, by_1, … of the chosen records.

        `totals`: columns that are read; the counters among them go on where the end host began to count anew.
        """
        told = {name: f"{each.table}_{at}" for each in self.kept for at, name in enumerate(each.names)}
        values = (f"coalesce({told[name]}, '{OTHER}')" if name in told else self.column(name) for name in self.by)
        groups = [f"{value} AS {alias}" for value, alias in zip(values, self.aliases, strict=True)]
        chosen = f"SELECT {', '.join([*groups, *columns])} FROM"
        if COUNTERS.isdisjoint(totals):
            return f"{chosen} feedback{self._joins()} WHERE {self.condition()}"
        rows = continued(f"SELECT * FROM feedback WHERE {self.condition()}", totals)
        return f"{chosen} ({rows}){self._joins()}"

    def _joins(self) -> str:
        return "".join(
            f" LEFT JOIN {each.table} ON "
            + " AND ".join(f"{each.table}_{at} = {self.column(name)}" for at, name in enumerate(each.names))
            for each in self.kept
        )

    @property
    def aliases(self) -> list[str]:
        return [f"by_{at}" for at in range(len(self.by))]

    def condition(self) -> str:
        clauses = []
        if self.span is not None:
            low, high = self.bind(self.span.from_ms), self.bind(self.span.to_ms)
            clauses.append(f"received_ms >= {low} AND received_ms < {high}")
        clauses += [self._clause(name, value) for name, value in self.where.items()]
        return " AND ".join(clauses) or "true"

    def _clause(self, name: str, value: str) -> str:
        if name.startswith(MEAN):
            # What reads a measure stands above what selects records; only this one filter needs both.
            from feedback_analysis.measures.filters import within

            return within(name, value, self)
        if name.startswith(NOT):
            left_out = ", ".join(self.bind(each) for each in left_out_by(value))
            return f"{self.column(name.removeprefix(NOT))} NOT IN ({left_out})"
        return f"{self.column(name)} = {self.bind(value)}"

    def bind(self, value: object) -> str:
        """The name by which SQL knows `value`, the same for the same value."""
        for name, bound in self.parameters.items():
            if bound == value:
                return f"${name}"
        name = f"p{len(self.parameters)}"
        self.parameters[name] = value
        return f"${name}"

    def column(self, name: str) -> str:
        """SQL: the value of the column `name`, or of an entry of `extra`."""
        if not is_column(name):
            raise UnknownColumn(name)
        if name.startswith(EXTRA):
            return f"coalesce(json_extract_string(extra, {self.bind(extra_pointer(name))}), '{UNKNOWN}')"
        return name


def check_columns(names: Iterable[str]) -> None:
    """UnknownColumn unless each of `names` can be filtered and grouped by."""
    for name in names:
        if not is_column(name):
            raise UnknownColumn(name)


def is_column(name: str) -> bool:
    """Whether `name` can be filtered and grouped by."""
    return name in DIMENSIONS + IDENTITIES or (name.startswith(EXTRA) and len(name) > len(EXTRA))


def left_out_by(text: str) -> list[str]:
    """The values that a filter `not.` leaves out: those of a JSON list, else `text` itself.

    ValueError for a list that holds anything but texts and numbers.
    """
    if not text.startswith("["):
        return [text]
    try:
        values = json.loads(text)
    except RecursionError as error:
        raise ValueError(_NO_FLAT_LIST) from error
    except ValueError:
        return [text]  # a name may begin with a bracket
    if not all(isinstance(value, str | int | float) and not _is_half_a_character(str(value)) for value in values):
        raise ValueError(_NO_FLAT_LIST)
    return [str(value) for value in values] or [""]


_NO_FLAT_LIST = 'a `not.` filter needs one value, or a JSON list of texts and numbers such as ["a", "b"]; lists do not nest'


def _is_half_a_character(text: str) -> bool:
    """Whether `text` holds a lone surrogate, which JSON can escape and no column can hold."""
    return any("\ud800" <= character <= "\udfff" for character in text)


def extra_pointer(name: str) -> str:
    """The JSON pointer (RFC 6901) of the entry that `extra.NAME` means."""
    return "/" + name.removeprefix(EXTRA).replace("~", "~0").replace("/", "~1")
