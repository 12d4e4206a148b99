"""Decides from which address the logs of each server name are fetched.

A catalogue may list logs with the name of another server, for example after data folders were merged. The followed server with that
name provides them. If no such server is followed, one of the servers that list them does.
"""

import asyncio
import contextlib
from collections.abc import Collection, Iterable

from monitor_platform.retrieval.feedback_server_client import UnusableAnswer

_ANSWER_WITHIN_S = 20
"""How long a decision about another server's logs waits for the first answers of the other addresses."""


class ServerNames:
    """The server name of each followed address, and the address that provides the logs of every other server name."""

    def __init__(self, urls: Iterable[str]) -> None:
        self._followed: dict[str, str] = {}
        self._adopted: dict[str, str] = {}
        self._unanswered = set(urls)
        self._all_answered = asyncio.Event()

    def note_answer(self, url: str) -> None:
        """Note that the server at `url` has answered or failed."""
        self._unanswered.discard(url)
        if not self._unanswered:
            self._all_answered.set()

    def claim(self, name: str, url: str, *, was: str | None = None) -> None:
        """Note that the server at `url`, whose name `was` another one, has this name; UnusableAnswer if another address has it.

        `was` is free afterwards in any case. Otherwise two servers that exchange their names, or their addresses, would wait for
        each other without end.
        """
        if was is not None and was != name:
            self._followed.pop(was, None)
        owner = self._followed.setdefault(name, url)
        if owner != url:
            raise UnusableAnswer(f"this server and {owner} both have the name {name}; give each its own --name")

    async def adopted(self, names: Collection[str], url: str) -> set[str]:
        """The server names out of `names` for which `url` provides the logs. Waits until every address has answered once."""
        if not names:
            return set()
        self.note_answer(url)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._all_answered.wait(), _ANSWER_WITHIN_S)
        return {name for name in names if name not in self._followed and self._adopted.setdefault(name, url) == url}
