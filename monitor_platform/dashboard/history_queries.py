"""The history as pages and scripts ask it: shared answers, and how far the logs on disk have been taken in."""

from collections.abc import Callable
from typing import Any, TypeVar

from feedback_analysis.history.follow import Follower
from feedback_analysis.history.store import HistoryStore, extent
from feedback_analysis.measures.selection import Span
from monitor_platform.dashboard.shared_answers import Moment, SharedAnswers

Answer = TypeVar("Answer")


class HistoryQueries:
    """A store that is kept up to date, asked from the event loop."""

    def __init__(self, store: HistoryStore, follower: Follower) -> None:
        self._store = store
        self._follower = follower
        self._answers = SharedAnswers(store)

    async def ask(self, query: Callable[..., Answer], **arguments: object) -> Answer:
        """`query(store, **arguments)`, once for all who ask the same of the same state."""
        return await self._answers.ask(Moment(self._store.version, 0, 0), query, **arguments)

    async def extent(self) -> Span | None:
        """From the first to the last message that was kept."""
        return await self.ask(extent)

    def status(self) -> dict[str, Any]:
        """How far it is, for people and scripts."""
        progress = self._follower.progress
        return {
            "complete": progress.complete,
            "done_bytes": progress.done_bytes,
            "all_bytes": progress.all_bytes,
            "logs": progress.taken.logs,
            "messages": progress.taken.messages,
            "duplicates": progress.taken.copies,
            "conflicts": progress.taken.conflicts,
            "unreadable": progress.taken.unreadable,
            "unread_logs": len(progress.taken.unread),
            "other_names": progress.taken.other_names,
            "dropped_days": progress.forgotten.days,
            "dropped_messages": progress.forgotten.messages,
            "error": progress.error,
        }

    def close(self) -> None:
        self._answers.close()
