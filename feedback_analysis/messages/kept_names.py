"""Which names of a field are kept when end hosts send more names than the budget allows; the others are stored as `(other)`.

If the first names were kept, one sender could use up the budget before the audience arrives. Instead, names compete by the number
of networks (truncated addresses) that send them: a sender can invent names and peers, but not addresses. A name that is left out
replaces the weakest kept name when more than twice as many networks send it.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field

from feedback_analysis.measures.selection import OTHER, UNKNOWN

SURE = 64
"""The most networks that are stored per name. A name from more than half as many cannot be replaced."""

LEAD = 2
"""How many times as many networks a name needs to replace another, so that two names of equal size do not alternate."""

_WAITING = 4
"""For how many left-out names the networks are stored, as a multiple of the budget."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NameUse:
    """A name in some messages: the networks that sent them, and when the last one was received (Unix ms)."""

    name: str
    networks: Collection[str]
    last_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Names to store as `(other)`: `left_out` in the new messages, `given_up` in earlier messages as well."""

    left_out: frozenset[str]
    given_up: frozenset[str]


@dataclass(slots=True)
class _KnownName:
    networks: set[str] = field(default_factory=set)
    last_ms: int = 0

    def add(self, use: NameUse) -> None:
        if len(self.networks) < SURE:
            self.networks.update(list(use.networks)[: SURE - len(self.networks)])
        self.last_ms = max(self.last_ms, use.last_ms)


class Names:
    """The kept names of one field: at most `most`."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._own: dict[str, _KnownName] = {}
        self._waiting: dict[str, _KnownName] = {}

    def __len__(self) -> int:
        return len(self._own)

    def add(self, uses: Iterable[NameUse]) -> Decision:
        """Add the names of some messages, each name once, and decide which names are left out."""
        unknown = []
        for each in uses:
            if each.name in {OTHER, UNKNOWN}:
                continue
            known = self._own.get(each.name)
            if known is None:
                known = self._waiting.setdefault(each.name, _KnownName())
                unknown.append(each.name)
            known.add(each)
        given_up = self._admit(sorted(unknown, key=lambda name: (-len(self._waiting[name].networks), name)))
        left_out = frozenset(name for name in unknown if name not in self._own)
        self._bound_waiting()
        return Decision(left_out=left_out, given_up=given_up - frozenset(unknown))

    def drop_before(self, received_ms: int) -> None:
        """Drop the names whose last message was received before `received_ms`."""
        for names in (self._own, self._waiting):
            for name in [name for name, known in names.items() if known.last_ms < received_ms]:
                del names[name]

    def _admit(self, strongest_first: Iterable[str]) -> frozenset[str]:
        given_up = set()
        weakest_first: Iterator[str] | None = None
        for name in strongest_first:
            if len(self._own) >= self._most:
                # Sorted once: names that are admitted here are not replaced here, because the following ones are weaker.
                weakest_first = weakest_first or iter(sorted(self._own, key=lambda each: len(self._own[each].networks)))
                weakest = next(weakest_first, None)
                if weakest is None or len(self._waiting[name].networks) <= LEAD * len(self._own[weakest].networks):
                    break  # the following ones are weaker
                self._waiting[weakest] = self._own.pop(weakest)
                given_up.add(weakest)
            self._own[name] = self._waiting.pop(name)
        return frozenset(given_up)

    def _bound_waiting(self) -> None:
        most = _WAITING * self._most
        if len(self._waiting) > 2 * most:
            strongest = sorted(self._waiting.items(), key=lambda each: (len(each[1].networks), each[1].last_ms), reverse=True)
            self._waiting = dict(strongest[:most])
