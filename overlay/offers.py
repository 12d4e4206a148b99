"""The streams that a bootstrapper plans: those of the topology file, and one for each offered file that a player has chosen.

Each file travels as a stream of its own, with its own tree, so players of different files do not receive each other's packets.
"""

import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePath

from overlay.messages import FilesOffer
from overlay.node_settings import StreamChoice, longest_file_name
from overlay.overlay_file import Stream

NUMBERS = 65_536
SHOWN = 10
"""Names in an error."""


class Offers:
    """What players can request. `streams` are the present streams, and `numbers` those in their media packets."""

    def __init__(self, declared: Mapping[str, Stream]) -> None:
        self.streams: dict[str, Stream] = dict(declared)
        self.numbers = {name: number for number, name in enumerate(declared)}
        self._declared = declared
        self._files: dict[str, tuple[str, ...]] = {}
        """The files of each stream. Streams of a source that has never joined are missing."""
        self._chosen: list[StreamChoice] = []

    def offered(self, node: str, offer: FilesOffer) -> str | None:
        """A node offers files. Returns None, or the reason of a refusal and what to do."""
        stream, files = self._declared.get(offer.stream), tuple(dict.fromkeys(offer.files))
        if stream is None:
            return self._unknown(offer.stream)
        if stream.source != node:
            return f"the topology file names {stream.source!r} as the source of stream {offer.stream!r}; start the stream there"
        if too_long := [each for each in files if not 0 < len(each) <= longest_file_name(offer.stream)]:
            return f"the name {too_long[0]!r} is too long; use at most {longest_file_name(offer.stream)} characters"
        if clash := [each for each in files if StreamChoice(stream=offer.stream, file=each).name in self._declared]:
            return f"the topology file has a stream {offer.stream}/{clash[0]} already; rename the file"
        first = PurePath(stream.file).name if stream.file is not None else None
        if first is not None and files and files[0] != first:
            return f"the topology file says that stream {offer.stream!r} plays {first!r}; give it as the first --file"
        self._files[offer.stream] = files
        return None

    def forget(self, node: str) -> bool:
        """A source has joined: forget its files until its OFFER arrives. False if the node is not a source."""
        streams = [name for name, stream in self._declared.items() if stream.source == node]
        for name in streams:
            self._files.pop(name, None)
        return bool(streams)

    def unanswered(self, node: str) -> list[str]:
        """The streams of a source whose files are not known yet."""
        return [name for name, stream in self._declared.items() if stream.source == node and name not in self._files]

    def refusal(self, choice: StreamChoice) -> str | None:
        """Why a player cannot get its choice, and what to do. None if it can, or if the source has not sent OFFER yet."""
        if choice.stream not in self._declared:
            return self._unknown(choice.stream)
        files = self._files.get(choice.stream)
        if choice.file is None or files is None or choice.file in files:
            return None
        if not files:
            return f"the source of stream {choice.stream!r} offers no files; leave out --file"
        return f"stream {choice.stream!r} has no file {choice.file!r}; its source offers {_some(files)}"

    def is_offered(self, choice: StreamChoice) -> bool:
        """Whether it is known that the choice exists."""
        return choice.stream in self._declared and (choice.file is None or choice.file in self._files.get(choice.stream, ()))

    def chosen(self, stream: str) -> Iterator[StreamChoice]:
        """The files of a stream that players have chosen so far."""
        return (each for each in self._chosen if each.stream == stream)

    def add(self, choice: StreamChoice) -> None:
        """Add a player's choice to the streams. ValueError if `refusal` has a reason."""
        if (reason := self.refusal(choice)) is not None:
            raise ValueError(reason)
        if choice.name in self.streams:
            return
        self.streams[choice.name] = self._declared[choice.stream]
        self._chosen.append(choice)
        # The number depends on the name, so that a bootstrapper that was started again gives the same one.
        first, taken = zlib.crc32(choice.name.encode()) % NUMBERS, {*self.numbers.values()}
        numbers = ((first + step) % NUMBERS for step in range(NUMBERS))
        self.numbers[choice.name] = next(number for number in numbers if number not in taken)

    def listed(self) -> Iterator[FilesOffer]:
        """One OFFER for each stream of the topology file. Each states how many follow."""
        for left, (name, stream) in zip(range(len(self._declared) - 1, -1, -1), self._declared.items(), strict=True):
            yield FilesOffer(stream=name, files=list(self._files.get(name, ())), source=stream.source, left=left)

    def _unknown(self, stream: str) -> str:
        return f"there is no stream {stream!r}; the topology file has {_some(tuple(self._declared)) or 'none'}"


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
