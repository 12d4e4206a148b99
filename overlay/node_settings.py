"""What a node has to know before it starts."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSettings:
    """Who the node is, where it listens, and what it does."""

    name: str
    key: bytes = field(repr=False)
    bootstrapper: tuple[str, int]
    host: str = "127.0.0.1"
    """Where it listens, and from where it connects: the bootstrapper tells its neighbours the address that it sees."""
    plays: tuple[str, ...] = ()
    """Streams that it asks for."""
    originates: tuple[str, ...] = ()
    """Streams that begin here."""
