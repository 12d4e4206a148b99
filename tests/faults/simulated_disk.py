"""What a power cut may leave of a folder, according to POSIX and not to the behaviour of one file system.

Only what a later sync of the same file or folder covers is certain. Any other change may be there or not, independently and in any
order: data whole, cut at any byte, or zeros; names that were made, changed or removed, or as they were before. A failed sync covers
nothing, and no later sync repairs that for data: the kernel may have dropped the pages and marked them clean.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

ROOT = 0


@dataclass(frozen=True, slots=True)
class Create:
    """A new file or folder under a name; `node` is its permanent number, whatever it is called later."""

    folder: int
    name: str
    node: int
    is_folder: bool = False


@dataclass(frozen=True, slots=True)
class Rename:
    folder: int
    name: str
    to: str
    node: int


@dataclass(frozen=True, slots=True)
class Unlink:
    folder: int
    name: str


@dataclass(frozen=True, slots=True)
class Write:
    node: int
    at: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Truncate:
    node: int
    size: int


@dataclass(frozen=True, slots=True)
class Sync:
    node: int
    succeeded: bool = True


@dataclass(frozen=True, slots=True)
class Noted:
    """What others were promised at this moment, such as an acknowledgement: a power cut cannot undo it."""

    what: object


Call = Create | Rename | Unlink | Write | Truncate | Sync | Noted
Change = Create | Rename | Unlink | Write | Truncate
Survivor = Callable[[Change], Iterator[Change]]
"""What is left of a change that no sync covers: nothing, all of it, or some of it."""


def kept(change: Change) -> Iterator[Change]:
    """What a killed process leaves: all its changes, because the kernel continues."""
    yield change


def lost(_: Change) -> Iterator[Change]:
    yield from ()


def left_to(chance: Random) -> Survivor:
    """Each change that no sync covers is kept, lost or torn independently."""

    def survivor(change: Change) -> Iterator[Change]:
        match change:
            case Write():
                yield from _torn(change, chance)
            case Rename() if chance.random() < 0.2:  # a file system may add the new name first and then lose power
                yield Create(change.folder, change.to, change.node)
            case _ if chance.random() < 0.5:
                yield change

    return survivor


def _torn(write: Write, chance: Random) -> Iterator[Write]:
    cut = chance.randint(0, len(write.data))
    before, behind = write.data[:cut], write.data[cut:]
    pieces = (write.data, b"", before, before + bytes(len(behind)), bytes(cut) + behind)
    if data := chance.choice(pieces):
        yield Write(write.node, write.at, data)


def noted(calls: Sequence[Call]) -> list[object]:
    return [call.what for call in calls if isinstance(call, Noted)]


@dataclass(slots=True)
class Tree:
    """Files and folders as the changes made so far have left them."""

    folders: dict[int, dict[str, int]] = field(default_factory=lambda: {ROOT: {}})
    files: dict[int, bytearray] = field(default_factory=dict)

    def apply(self, change: Change) -> None:
        match change:
            case Create(folder, name, node, is_folder):
                if is_folder:
                    self.folders.setdefault(node, {})
                self.folders.setdefault(folder, {})[name] = node
            case Rename(folder, name, to, node):
                self.folders.setdefault(folder, {}).pop(name, None)
                self.folders[folder][to] = node
            case Unlink(folder, name):
                self.folders.setdefault(folder, {}).pop(name, None)
            case Write(node, at, data):
                file = self.files.setdefault(node, bytearray())
                file.extend(bytes(max(0, at - len(file))))
                file[at : at + len(data)] = data
            case Truncate(node, size):
                file = self.files.setdefault(node, bytearray())
                file.extend(bytes(max(0, size - len(file))))
                del file[size:]

    def write_to(self, path: Path, node: int = ROOT) -> None:
        """Write the tree as real files below the existing folder `path`."""
        for name, child in self.folders.get(node, {}).items():
            if child in self.folders:
                (path / name).mkdir()
                self.write_to(path / name, child)
            else:
                (path / name).write_bytes(self.files.get(child, b""))


def after(calls: Sequence[Call], survivor: Survivor) -> Tree:
    """The tree when power fails directly after the last of `calls`."""
    tree = Tree()
    certain = _certain(calls)
    for call, sure in zip(calls, certain, strict=True):
        if not isinstance(call, Sync | Noted):
            for change in kept(call) if sure else survivor(call):
                tree.apply(change)
    return tree


def _certain(calls: Sequence[Call]) -> list[bool]:
    """For each call whether the first later sync of the same file has succeeded; for names, whether any sync of the folder has."""
    first: dict[int, bool] = {}
    synced: set[int] = set()
    certain = []
    for call in reversed(calls):
        match call:
            case Sync(node, succeeded):
                first[node] = succeeded
                synced |= {node} if succeeded else set()
                certain.append(False)
            case Create() | Rename() | Unlink():
                certain.append(call.folder in synced)
            case Write() | Truncate():
                certain.append(first.get(call.node, False))
            case Noted():
                certain.append(False)
    return certain[::-1]
