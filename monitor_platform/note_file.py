"""Notes that users write on the dashboard, in a JSON file that is read at the start and replaced as a whole at each change.

The file has one writer: it is in a folder that the platform has locked. A change is durable before it has an effect.
"""

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Generic, TypeVar

from feedback_wire.problem import Problem
from serving.durable_files import make_folder, replace_file
from serving.regular_files import read_regular

Note = TypeVar("Note")

VERSION = 1


class NoteFile(Generic[Note]):
    """The notes in the file at `path`, which are dataclasses that `parse` makes. ValueError if the file cannot be read."""

    def __init__(self, path: Path, parse: Callable[[Mapping[str, Any]], Note]) -> None:
        self._path = path
        self._changing = asyncio.Lock()
        self.notes: tuple[Note, ...] = _read(path, parse)
        self.changes = 0
        """Grows with each change."""

    async def change(self, change: Callable[[tuple[Note, ...]], tuple[Note, ...]]) -> None:
        """Replace the notes by what `change` makes of them; Problem (503) if the file cannot be written."""
        async with self._changing:
            changed = change(self.notes)
            try:
                await asyncio.to_thread(_write, self._path, changed)
            except OSError as error:
                why = error.strerror or str(error)
                raise Problem(503, "not_stored", f"{self._path} cannot be written: {why}; nothing has changed") from error
            self.notes = changed
            self.changes += 1


def _read(path: Path, parse: Callable[[Mapping[str, Any]], Note]) -> tuple[Note, ...]:
    try:
        content = json.loads(read_regular(path))
        if content["version"] != VERSION:
            raise ValueError(f"its version is {content['version']}, not {VERSION}")
        return tuple(parse(note) for note in content["notes"])
    except FileNotFoundError:
        return ()
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ValueError(
            f"{path} cannot be read as notes: {error!r}; correct the file, or move it away to begin without"
        ) from error


def _write(path: Path, notes: tuple[Any, ...]) -> None:
    content = {"version": VERSION, "notes": [asdict(note) for note in notes]}
    make_folder(path.parent)
    replace_file(path, json.dumps(content, ensure_ascii=False, indent=1).encode() + b"\n")
