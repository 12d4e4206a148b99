"""What a node has to know before it starts."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from serving.tls import Tls

LONGEST_NAME = 64
"""Of a node or stream, in characters."""


def longest_file_name(stream: str) -> int:
    """How many characters the name of a file of the stream may have."""
    return LONGEST_NAME - len(stream) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamChoice:
    """A stream of the topology file, or one of the files that its source offers."""

    stream: str
    file: str | None = None

    @property
    def name(self) -> str:
        """The name under which it travels, and which reports have as the channel."""
        return self.stream if self.file is None else f"{self.stream}/{self.file}"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSettings:
    """Who the node is, where it listens, and what it does."""

    name: str
    key: bytes = field(repr=False)
    bootstrapper: tuple[str, int]
    host: str = "127.0.0.1"
    """Where it listens, and from where it connects: the bootstrapper tells its neighbours the address that it sees."""
    plays: tuple[StreamChoice, ...] = ()
    """What it asks for."""
    tls: Tls | None = field(default=None, repr=False)
    """With it, every control connection uses TLS: to the bootstrapper, and to and from neighbours."""
    originates: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Streams that begin here, with the names of the files that players can choose."""

    def originated(self) -> Iterator[StreamChoice]:
        """The streams that can begin here."""
        for stream, files in self.originates.items():
            yield from (StreamChoice(stream=stream, file=file) for file in (None, *files))
