"""The settings of a node."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from serving.tls import Tls

LONGEST_NAME = 64
"""The longest name of a node or stream, in characters."""


def longest_file_name(stream: str) -> int:
    """The longest name of a file of the stream, in characters."""
    return LONGEST_NAME - len(stream) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamChoice:
    """A stream of the topology file, or one of the files that its source offers."""

    stream: str
    file: str | None = None

    @property
    def name(self) -> str:
        """The name of its stream, which is also the channel in reports."""
        return self.stream if self.file is None else f"{self.stream}/{self.file}"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSettings:
    """The identity of a node, its address, and what it sends and receives."""

    name: str
    key: bytes = field(repr=False)
    bootstrapper: tuple[str, int]
    host: str = "127.0.0.1"
    """The address on which it listens and from which it connects. The bootstrapper sends it to the neighbours."""
    plays: tuple[StreamChoice, ...] = ()
    """The streams that it requests."""
    tls: Tls | None = field(default=None, repr=False)
    """If set, every control connection uses TLS: to the bootstrapper, and to and from neighbours."""
    originates: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Streams that begin here, with the names of the files that players can choose."""

    def originated(self) -> Iterator[StreamChoice]:
        """The streams that can begin here."""
        for stream, files in self.originates.items():
            yield from (StreamChoice(stream=stream, file=file) for file in (None, *files))
