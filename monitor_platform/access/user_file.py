"""The file of users, with one line `NAME:HASH` or `NAME:HASH:ROLE` for each. Without a role, the user is a manager.

Empty lines and lines that begin with # stay unchanged.

A change is written to a new file, which is renamed under a lock on its folder. So readers see a complete file, and two writers do
not overwrite each other.
"""

import contextlib
import fcntl
import os
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from monitor_platform.access.passwords import Hash
from monitor_platform.access.roles import UserRole
from serving.durable_files import replacing
from serving.regular_files import read_regular_text

LONGEST_NAME = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """The password hash and the role of a user."""

    secret: Hash
    role: UserRole = UserRole.MANAGER

    @classmethod
    def parse(cls, text: str) -> "Account":
        """An account from `HASH` or `HASH:ROLE`; ValueError for any other text. A hash has three colons."""
        parts = text.split(":")
        role = parts.pop() if len(parts) > 4 else UserRole.MANAGER
        if role not in [*UserRole]:
            raise ValueError(f"its role is unknown; choose from {', '.join(UserRole)}")
        return cls(secret=Hash.parse(":".join(parts)), role=UserRole(role))

    def __str__(self) -> str:
        return f"{self.secret}:{self.role}"


def checked_name(text: str) -> str:
    """A user's name in its stored form; ValueError for an invalid one. 王小明 is valid."""
    name = unicodedata.normalize("NFC", text)
    if not 1 <= len(name) <= LONGEST_NAME or not name.isprintable() or name != name.strip() or ":" in name or name[0] == "#":
        raise ValueError(f"a user name has 1 to {LONGEST_NAME} characters, no colon, no # at the start, no spaces at the ends")
    return name


def read(path: Path) -> dict[str, Account]:
    """The account of each user. ValueError names the line that cannot be read, but not its content; OSError passes through."""
    users: dict[str, Account] = {}
    for number, line in enumerate(_text(path).splitlines(), 1):
        if _is_user(line):
            try:
                name, separator, account = line.partition(":")
                if not separator or checked_name(name) != name or name in users:
                    raise ValueError("it needs to be NAME:HASH or NAME:HASH:ROLE, each name once")
                users[name] = Account.parse(account.strip())
            except ValueError as error:
                raise ValueError(f"{path}, line {number}: {error}") from None
    return users


def put(path: Path, name: str, secret: Hash, role: UserRole | None = None) -> bool:
    """Write a user's new hash, and the role; None keeps that of an existing user. Returns whether the user existed."""

    def changed(account: Account | None) -> Account:
        return Account(secret=secret, role=role or (account.role if account is not None else UserRole.MANAGER))

    return _change(path, name, changed)


def set_role(path: Path, name: str, role: UserRole) -> bool:
    """Change the role of a user. Returns whether the user exists."""
    return _change(path, name, lambda account: replace(account, role=role) if account is not None else None)


def remove(path: Path, name: str) -> bool:
    """Remove a user. Returns whether the user existed."""
    with _locked(path):
        lines = _lines(path)
        kept = [line for line in lines if _name_in(line) != name]
        if len(kept) < len(lines):
            _write(path, kept)
        return len(kept) < len(lines)


def _change(path: Path, name: str, changed: Callable[[Account | None], Account | None]) -> bool:
    """Write the account that `changed` makes from the old one (None: no account). Returns whether the user existed."""
    with _locked(path):
        old = (read(path) if path.exists() else {}).get(name)
        new = changed(old)
        if new is not None:
            _write(path, [*(line for line in _lines(path) if _name_in(line) != name), f"{name}:{new}"])
        return old is not None


def _is_user(line: str) -> bool:
    return bool(line.strip()) and not line.startswith("#")


def _name_in(line: str) -> str | None:
    return line.partition(":")[0] if _is_user(line) else None


def _text(path: Path) -> str:
    try:
        return read_regular_text(path)
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
