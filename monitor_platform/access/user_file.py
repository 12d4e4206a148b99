"""The file of users, with one line `NAME:HASH` for each. Empty lines and lines that begin with # stay unchanged.

A change is written to a new file, which is renamed under a lock on its folder. So readers see a complete file, and two writers do
not overwrite each other.
"""

import contextlib
import fcntl
import os
import unicodedata
from collections.abc import Iterator
from pathlib import Path

from monitor_platform.access.passwords import Hash
from serving.durable_files import replacing

LONGEST_NAME = 64


def checked_name(text: str) -> str:
    """A user's name in its stored form; ValueError for an invalid one. 王小明 is valid."""
    name = unicodedata.normalize("NFC", text)
    if not 1 <= len(name) <= LONGEST_NAME or not name.isprintable() or name != name.strip() or ":" in name or name[0] == "#":
        raise ValueError(f"a user name has 1 to {LONGEST_NAME} characters, no colon, no # at the start, no spaces at the ends")
    return name


def read(path: Path) -> dict[str, Hash]:
    """The hash of each user. ValueError names the line that cannot be read, but not its content; OSError passes through."""
    users: dict[str, Hash] = {}
    for number, line in enumerate(_text(path).splitlines(), 1):
        if _is_user(line):
            try:
                name, separator, secret = line.partition(":")
                if not separator or checked_name(name) != name or name in users:
                    raise ValueError("it needs to be NAME:HASH, each name once")
                users[name] = Hash.parse(secret.strip())
            except ValueError as error:
                raise ValueError(f"{path}, line {number}: {error}") from None
    return users


def put(path: Path, name: str, secret: Hash) -> bool:
    """Write a user's new hash. Returns whether the user existed."""
    with _locked(path):
        lines = _lines(path)
        kept = [line for line in lines if _name_in(line) != name]
        _write(path, [*kept, f"{name}:{secret}"])
        return len(kept) < len(lines)


def remove(path: Path, name: str) -> bool:
    """Remove a user. Returns whether the user existed."""
    with _locked(path):
        lines = _lines(path)
        kept = [line for line in lines if _name_in(line) != name]
        if len(kept) < len(lines):
            _write(path, kept)
        return len(kept) < len(lines)


def _is_user(line: str) -> bool:
    return bool(line.strip()) and not line.startswith("#")


def _name_in(line: str) -> str | None:
    return line.partition(":")[0] if _is_user(line) else None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ValueError(f"{path} does not exist; create it with: swarmscope users add NAME --file {path}") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not UTF-8 text; write a file of users with `swarmscope users add`") from None


def _lines(path: Path) -> list[str]:
    return _text(path).splitlines() if path.exists() else []


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _write(path: Path, lines: list[str]) -> None:
    with replacing(path, mode=0o600) as file:
        _keep_owner(path, file.fileno())
        file.writelines(f"{line}\n".encode() for line in lines)


def _keep_owner(path: Path, file: int) -> None:
    """Keep the owner and mode of the file, because root may change it for a server of another user."""
    with contextlib.suppress(FileNotFoundError, PermissionError):
        was = path.stat()
        os.fchmod(file, was.st_mode & 0o777)
        os.fchown(file, was.st_uid, was.st_gid)
