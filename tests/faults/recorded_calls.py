"""A layer between our code and the file system: every call that changes something below a folder is made, recorded, and can be
failed.

It replaces the functions of Python that call the kernel (`os`, and the raw files under `open`), so journal, sealer, recovery, spool
and mirror run unchanged. Syncs are recorded and not made: the simulated disk decides what they are worth.
"""

import builtins
import errno
import fcntl
import io
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from io import BufferedRandom, BufferedWriter, FileIO
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any
from unittest.mock import patch

from tests.faults.simulated_disk import ROOT, Call, Create, Noted, Rename, Sync, Tree, Truncate, Unlink, Write, after, kept

Buffer = bytes | bytearray | memoryview
Fault = Callable[[str], int | None]
"""Called before each call with its name: an errno fails it; SHORT writes half of the data."""
SHORT = -1
_MODES = {"w": os.O_CREAT | os.O_TRUNC, "x": os.O_CREAT | os.O_EXCL, "a": os.O_CREAT | os.O_APPEND, "r": 0}


def no_fault(_: str) -> None:
    return None


@contextmanager
def memory_folder() -> Iterator[Path]:
    """A folder for an example's files, in memory where possible: thousands of files should not wait for a disk."""
    shared = "/dev/shm"
    with TemporaryDirectory(dir=shared if os.access(shared, os.W_OK) else None) as folder:
        yield Path(folder)


class NthCall:
    """Fails the `n`th call (from 1 on) with `error`, and with `lasting` all later ones, until it is `over`.

    `reached` is whether there were so many calls; `only` counts some calls only.
    """

    def __init__(self, n: int, error: int, only: Sequence[str] = (), *, lasting: bool = False) -> None:
        self._n, self._error, self._only = n, error, only
        self.lasting, self.over = lasting, False
        self.harmless = error in (SHORT, errno.EINTR)
        """The writer continues by itself, and reports nothing."""
        self.calls = 0
        self.failed: list[str] = []

    @property
    def reached(self) -> bool:
        return bool(self.failed)

    def __call__(self, name: str) -> int | None:
        if self.over or (self._only and name not in self._only):
            return None
        self.calls += 1
        if self.calls != self._n and not (self.lasting and self.calls > self._n):
            return None
        self.failed.append(name)
        return self._error


class RecordedCalls:
    """`with RecordedCalls(root) as recorded:` — all changes below `root` are in `recorded.calls`, in their order.

    Existing files count as synced, unless `calls` of an earlier run are given: then the folder must be as those calls left it, and
    they are continued, with what they never synced.
    """

    def __init__(self, root: Path, calls: Sequence[Call] | None = None, fault: Fault = no_fault) -> None:
        self.root = os.path.realpath(root)
        self.calls: list[Call] = list(calls) if calls is not None else []
        self.fault = fault
        self.syncs_that_lie = False
        """An instrument: syncs return immediately and cover nothing."""
        self.made: Counter[str] = Counter()
        self._tree = Tree()
        self._real: dict[str, Any] = {}
        self._nodes: dict[int, int] = {}
        self._next = ROOT + 1
        if calls is None:
            self._scan(Path(self.root), ROOT)
        self.before = len(self.calls)
        """How many of the calls were made before this run."""
        self._tree = after(self.calls, kept)
        self._tree.files.clear()
        self._next = 1 + max((call.node for call in self.calls if isinstance(call, Create)), default=ROOT)
        self._patches = ExitStack()

    def note(self, what: object) -> None:
        self.calls.append(Noted(what))

    def __enter__(self) -> "RecordedCalls":
        import feedback_server.stores.data_folder
        import measurement.master.operation_journal
        import serving.durable_files

        names = "open link write fsync fdatasync ftruncate truncate rename replace unlink remove mkdir close"
        self._real = {name: getattr(os, name) for name in names.split()} | {"io.open": io.open}
        for name in names.split():
            self._patches.enter_context(patch.object(os, name, getattr(self, f"_{name}")))
        for module in (io, builtins):
            self._patches.enter_context(patch.object(module, "open", self._open_file))
        for module in (feedback_server.stores.data_folder, measurement.master.operation_journal, serving.durable_files):
            self._patches.enter_context(patch.object(module, "FileIO", self._raw))
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._patches.close()

    def _scan(self, path: Path, folder: int) -> None:
        for entry in sorted(path.iterdir()):
            node, self._next = self._next, self._next + 1
            self.calls.append(Create(folder, entry.name, node, entry.is_dir()))
            if entry.is_dir():
                self._scan(entry, node)
            else:
                self.calls += [Write(node, 0, entry.read_bytes()), Sync(node)]
        self.calls.append(Sync(folder))

    # Where a call leads.

    def _place(self, path: Any, dir_fd: int | None = None) -> tuple[int, str] | None:
        """The folder's node and the name in it; None for paths elsewhere."""
        if isinstance(path, int):
            return None
        if dir_fd is not None:
            return (self._nodes[dir_fd], os.fsdecode(path)) if dir_fd in self._nodes else None
        text = os.path.abspath(os.fsdecode(path))  # noqa: PTH100 — Path would ask for what is patched here
        if not text.startswith(self.root + os.sep):
            return None
        node = ROOT
        *folders, name = Path(text).parts[len(Path(self.root).parts) :]
        for folder in folders:
            node = self._tree.folders.get(node, {}).get(folder, -1)
        return node, name

    def _node(self, place: tuple[int, str]) -> int | None:
        folder, name = place
        return self._tree.folders.get(folder, {}).get(name)

    def _put(self, call: Create | Rename | Unlink) -> None:
        self.calls.append(call)
        self._tree.apply(call)

    def _ask(self, name: str) -> bool:
        """Whether a write is short; OSError if the call fails."""
        self.made[name] += 1
        error = self.fault(name)
        if error is not None and error != SHORT:
            raise OSError(error, f"{os.strerror(error)} (made to fail: {name})")
        return error == SHORT

    # The calls.

    def _open(self, path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        place = self._place(path, dir_fd)
        is_root = dir_fd is None and not isinstance(path, int) and os.path.abspath(os.fsdecode(path)) == self.root  # noqa: PTH100
        if place is None and not is_root:
            return int(self._real["open"](path, flags, mode, dir_fd=dir_fd))
        self._ask("open")
        fd: int = self._real["open"](path, flags, mode, dir_fd=dir_fd)
        node = ROOT if place is None else self._node(place)
        if node is None and place is not None:
            node, self._next = self._next, self._next + 1
            self._put(Create(*place, node))
        elif flags & os.O_TRUNC:
            self.calls.append(Truncate(node or ROOT, 0))
        self._nodes[fd] = ROOT if node is None else node
        return fd

    def _close(self, fd: int) -> None:
        self._nodes.pop(fd, None)
        self._real["close"](fd)

    def _write(self, fd: int, data: Buffer) -> int:
        return self.write(fd, data, self._real["write"])

    def write(self, fd: int, data: Buffer, real: Callable[[int, Buffer], int]) -> int:
        if fd not in self._nodes:
            return real(fd, data)
        piece = bytes(data)
        if self._ask("write") and len(piece) > 1:
            piece = piece[: len(piece) // 2]
        appends = fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_APPEND
        at = os.fstat(fd).st_size if appends else os.lseek(fd, 0, os.SEEK_CUR)
        written = real(fd, piece)
        self.calls.append(Write(self._nodes[fd], at, piece[:written]))
        return written

    def _fsync(self, fd: int) -> None:
        self._sync("fsync", fd)

    def _fdatasync(self, fd: int) -> None:
        self._sync("fdatasync", fd)

    def _sync(self, name: str, fd: int) -> None:
        if fd not in self._nodes:
            return
        try:
            self._ask(name)
        except OSError:
            self.calls.append(Sync(self._nodes[fd], succeeded=False))
            raise
        if not self.syncs_that_lie:
            self.calls.append(Sync(self._nodes[fd]))

    def _ftruncate(self, fd: int, size: int) -> None:
        if fd in self._nodes:
            self._ask("ftruncate")
            self.calls.append(Truncate(self._nodes[fd], size))
        self._real["ftruncate"](fd, size)

    def _truncate(self, path: Any, size: int) -> None:
        place = self._place(path)
        if place is not None and (node := self._node(place)) is not None:
            self._ask("ftruncate")
            self.calls.append(Truncate(node, size))
        self._real["truncate"](path, size)

    def _rename(self, old: Any, new: Any, *, src_dir_fd: int | None = None, dst_dir_fd: int | None = None) -> None:
        place, to = self._place(old, src_dir_fd), self._place(new, dst_dir_fd)
        if place is None or to is None:
            self._real["rename"](old, new, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)
            return
        assert place[0] == to[0], "a rename from folder to folder is not simulated"
        self._ask("rename")
        self._real["rename"](old, new, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)
        node = self._node(place)
        assert node is not None, f"{old} was never made"
        self._put(Rename(*place, to[1], node))

    _replace = _rename

    def _unlink(self, path: Any, *, dir_fd: int | None = None) -> None:
        place = self._place(path, dir_fd)
        if place is not None:
            self._ask("unlink")
        self._real["unlink"](path, dir_fd=dir_fd)
        if place is not None:
            self._put(Unlink(*place))

    _remove = _unlink

    def _link(self, old: Any, new: Any) -> None:
        place, to = self._place(old), self._place(new)
        assert place is not None, "a link from elsewhere is not simulated"
        assert to is not None, "a link to elsewhere is not simulated"
        self._ask("link")
        self._real["link"](old, new)
        node = self._node(place)
        assert node is not None, f"{old} was never made"
        self._put(Create(*to, node))

    def _mkdir(self, path: Any, mode: int = 0o777, *, dir_fd: int | None = None) -> None:
        place = self._place(path, dir_fd)
        if place is not None:
            self._ask("mkdir")
        self._real["mkdir"](path, mode, dir_fd=dir_fd)
        if place is not None:
            node, self._next = self._next, self._next + 1
            self._put(Create(*place, node, is_folder=True))

    # Files that Python opens by itself.

    def _raw(self, fd: int, mode: str = "r") -> FileIO:
        return _RecordedFile(fd, mode, self)

    def _open_file(self, file: Any, mode: str = "r", buffering: int = -1, *arguments: Any, **named: Any) -> Any:
        fd = file if isinstance(file, int) else None
        inside = fd in self._nodes if fd is not None else self._place(file) is not None
        if not inside or (set(mode) <= set("rbt")):
            return self._real["io.open"](file, mode, buffering, *arguments, **named)
        assert "b" in mode, f"writing text ({mode}) is not recorded"
        if fd is None:
            kind = next(letter for letter in mode if letter in _MODES)
            fd = self._open(file, (os.O_RDWR if "+" in mode else os.O_WRONLY) | _MODES[kind] | os.O_CLOEXEC, 0o666)
        raw = self._raw(fd, mode)
        if buffering == 0:
            return raw
        return BufferedRandom(raw) if "+" in mode else BufferedWriter(raw)


class _RecordedFile(FileIO):
    def __init__(self, fd: int, mode: str, recorded: RecordedCalls) -> None:
        self._recorded = recorded
        # The mode neither creates nor truncates an open descriptor, so "x" and "w" only mean that it is for writing.
        super().__init__(fd, mode.replace("x", "w"))

    def write(self, data: Buffer) -> int:
        return self._recorded.write(self.fileno(), data, lambda _, piece: super(_RecordedFile, self).write(piece))

    def truncate(self, size: int | None = None) -> int:
        at = self.tell() if size is None else size
        self._recorded._ftruncate(self.fileno(), at)
        return at

    def close(self) -> None:
        if not self.closed:
            self._recorded._nodes.pop(self.fileno(), None)
        super().close()
