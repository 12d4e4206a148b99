"""A database that follows its file. A new file replaces the database if it is complete and of the right kind; otherwise the current
one stays.

A lookup that fails is counted and returns no answer. It does not raise.
"""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Generic

from feedback_analysis.geo.databases import Database, LookupFailed, LookupResult
from feedback_analysis.geo.private_copy import FileState, LocationFileError, state_of

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Counts about one database since it was opened. `kept`: new files that could not be used."""

    failed_lookups: int
    read_anew: int
    kept: int


class FollowedDatabase(Generic[LookupResult]):
    """`name` is the kind of the database (city, asn), `without` describes viewers whose lookup fails.

    Any thread may query; one thread refreshes. LocationFileError if the file cannot be used at the start.
    """

    def __init__(self, path: Path, opening: Callable[[Path], Database[LookupResult]], *, name: str, without: str) -> None:
        self.path = path
        self.name = name
        self.without = without
        self._opening = opening
        self._counting = threading.Lock()
        self._failed = self._logged = self._read_anew = self._kept = 0
        self._reason = ""
        self._database = self._checked()
        self._seen: FileState | None = self._database.state
        self._tried: FileState | None = self._database.state
        """The state of the file at the last attempt to read it."""

    @property
    def counts(self) -> Counts:
        return Counts(failed_lookups=self._failed, read_anew=self._read_anew, kept=self._kept)

    def answer(self, address: IPv4Address | IPv6Address) -> LookupResult | None:
        """The answer for the address; None if there is none, or if its record cannot be read."""
        try:
            return self._database.answer(address)
        except LookupFailed as error:
            with self._counting:
                self._failed += 1
                self._reason = str(error)
            return None

    def concern(self) -> str:
        """One line about the failed lookups since the last call; empty if there was none."""
        with self._counting:
            fresh, self._logged = self._failed - self._logged, self._failed
        if not fresh:
            return ""
        lookups = "1 lookup" if fresh == 1 else f"{fresh:,} lookups"
        total = f" ({self._failed:,} in all)" if fresh < self._failed else ""
        return f"{self.path}: {lookups} failed{total}, and these viewers are {self.without}: {self._reason}"

    def refresh(self) -> bool:
        """Read the file if it changed, and has not changed again since the last call; returns whether it was read."""
        state, before = state_of(self.path), self._seen
        self._seen = state
        if state != before or state == self._tried:
            return False
        self._tried = state
        try:
            self._database = self._checked()
        except (OSError, ValueError, MemoryError) as error:
            self._kept += 1
            log.warning("the current copy of %s stays in use: %s", self.path, error)
            return False
        self._tried = self._database.state
        self._read_anew += 1
        log.info("%s has changed and was read again", self.path)
        return True

    def _checked(self) -> Database[LookupResult]:
        """The database of the file; LocationFileError if none of its first records can be used."""
        database = self._opening(self.path)
        error = database.sample().words()
        if error:
            raise LocationFileError(f"{self.path} is a database of type {database.kind!r}, and {error}")
        return database
