"""The users of the running dashboard. Their file is read again when it has changed.

If the file cannot be read any more, the error is logged and the users stay the same.
"""

import logging
from pathlib import Path

from monitor_platform.access import user_file
from monitor_platform.access.passwords import LONGEST, NO_USER, Hash
from monitor_platform.access.roles import UserRole

log = logging.getLogger(__name__)

_State = tuple[int, int, int] | None


class Users:
    """The users in a file. ValueError or OSError if the file cannot be read at the start, or has no user."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._state = self._stat()
        self._accounts = user_file.read(path)
        if not self._accounts:
            raise ValueError(f"{path} names no user; add one with: swarmscope users add NAME --file {path}")
        if path.stat().st_mode & 0o077:
            log.warning("%s can be read by others on this machine; run chmod 600, so that only the owner can read the hashes", path)

    def hash_of(self, name: str) -> Hash | None:
        """The password hash of a user; None for an unknown one."""
        account = self._accounts.get(name)
        return account.secret if account is not None else None

    def role_of(self, name: str) -> UserRole | None:
        """The role of a user; None for an unknown one."""
        account = self._accounts.get(name)
        return account.role if account is not None else None

    def refresh(self) -> None:
        """Read the file again if it has changed."""
        state = self._stat()
        if state == self._state:
            return
        self._state = state
        try:
            self._accounts = user_file.read(self._path)
        except (OSError, ValueError) as error:
            log.error("the users stay the same because their file cannot be read: %s", error)  # noqa: TRY400 - the text is enough
            return
        if not self._accounts:
            log.warning("%s names no user any more: no user can log in", self._path)

    def _stat(self) -> _State:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino


def proves(secret: Hash | None, password: str) -> bool:
    """Whether the password is correct. The check of an unknown user (None) takes as long as that of a known user."""
    fits = (secret or NO_USER).fits(password[:LONGEST])
    return fits and secret is not None and len(password) <= LONGEST
