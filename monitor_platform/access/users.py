"""The users as the running dashboard knows them: the file is read again as soon as it has changed.

A file that cannot be read any more changes nobody's rights: it is an error in the log, and what was read last goes on.
"""

import logging
from pathlib import Path

from monitor_platform.access import user_file
from monitor_platform.access.passwords import LONGEST, NOBODY, Hash

log = logging.getLogger(__name__)

_State = tuple[int, int, int] | None


class Users:
    """ValueError or OSError if the file cannot be read at the start, or names nobody."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._state = self._look()
        self._hashes = user_file.read(path)
        if not self._hashes:
            raise ValueError(f"{path} names no user; add one with: swarmscope users add NAME --file {path}")
        if path.stat().st_mode & 0o077:
            log.warning("%s can be read by others on this machine; chmod 600 keeps the hashes to its owner", path)

    def hash_of(self, name: str) -> Hash | None:
        """What the user of that name has to prove; None if there is none (any more)."""
        return self._hashes.get(name)

    def refresh(self) -> None:
        """Read the file if it is another than before."""
        state = self._look()
        if state == self._state:
            return
        self._state = state
        try:
            self._hashes = user_file.read(self._path)
        except (OSError, ValueError) as error:
            log.error("the users stay as they were, their file cannot be read: %s", error)  # noqa: TRY400 - the text says all
            return
        if not self._hashes:
            log.warning("%s names no user any more: no user can log in", self._path)

    def _look(self) -> _State:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino


def proves(secret: Hash | None, password: str) -> bool:
    """Whether the password is the user's; as slow for a user that there is not."""
    fits = (secret or NOBODY).fits(password[:LONGEST])
    return fits and secret is not None and len(password) <= LONGEST
