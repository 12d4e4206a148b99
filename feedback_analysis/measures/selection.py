"""Which records a query covers: a time range, filters and groups.

A filter restricts the records: every measure is then computed as if there were no other records. The names of columns come from a
fixed list. Text that a user types, including names and values in `extra`, reaches SQL only as a parameter.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

DIMENSIONS = ("channel", "isp", "area", "district", "country", "app", "platform", "event", "via")
"""What records are grouped and filtered by; each is a column of the table."""

IDENTITIES = ("peer_id", "session_id")
"""Columns that serve as dimensions too."""

EXTRA = "extra."
MEAN = "mean."
"""The prefix of a filter by peers' own means: `mean.mos`, see filters.py."""

NOT = "not."
"""The prefix of a filter that excludes values: `not.isp`, with one value or a JSON list of values."""

UNKNOWN = "unknown"
"""The value of a text field that a record does not carry."""


REPORTING_PERIOD_S = 30.0
"""The default reporting period of end hosts, as in the paper."""

OTHER = "(other)"
"""The value that stands for all values that are not kept apart. A record that carries this text is counted there too."""


class UnknownDimension(ValueError):  # noqa: N818 - the name says what is wrong
    """A name by which records cannot be filtered or grouped."""

    def __init__(self, name: str) -> None:
        choices = ", ".join((*DIMENSIONS, *IDENTITIES, f"{EXTRA}NAME"))
        super().__init__(f"{name!r} is not a dimension to filter or group by; choose from {choices}")


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A time range from `from_ms` (included) to `to_ms` (not included), Unix ms, by the feedback server's clock."""

    from_ms: int
    to_ms: int

    def __post_init__(self) -> None:
        if self.from_ms > self.to_ms:
            raise ValueError(f"the time range ends ({self.to_ms}) before it begins ({self.from_ms})")


@dataclass(slots=True)
class Selection:
    """Which records a query covers: a time range (None: all records), filters, and the dimensions to group by.

    `parameters` are the values that the query's SQL refers to by name.
    """

    span: Span | None
    where: Mapping[str, str]
    by: Sequence[str] = ()
    parameters: dict[str, object] = field(default_factory=dict)

    @property
    def aliases(self) -> list[str]:
        """The names of the dimensions of `by` in SQL: by_0, by_1, …"""
        return [f"by_{at}" for at in range(len(self.by))]

    def bind(self, value: object) -> str:
        """The name by which SQL refers to `value`; the same name for the same value."""
        for name, bound in self.parameters.items():
            if bound == value:
                return f"${name}"
        name = f"p{len(self.parameters)}"
        self.parameters[name] = value
        return f"${name}"


def check_dimensions(names: Iterable[str]) -> None:
    """UnknownDimension unless each of `names` is a dimension."""
    for name in names:
        if not is_dimension(name):
            raise UnknownDimension(name)


def is_dimension(name: str) -> bool:
    """Whether records can be filtered and grouped by `name`: a dimension, an identity, or `extra.NAME`."""
    return name in DIMENSIONS + IDENTITIES or (name.startswith(EXTRA) and len(name) > len(EXTRA))


def left_out_by(text: str) -> list[str]:
    """The values that a filter `not.` excludes: those of a JSON list, else `text` itself.

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
