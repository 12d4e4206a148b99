"""The history for pages and scripts: shared answers, and how much of the logs it has read."""

from collections.abc import Callable
from typing import Any

from feedback_analysis.history.follow import HistoryFollower
from feedback_analysis.history.store import HistoryStore, extent
from feedback_analysis.measures.selection import Span
from monitor_platform.dashboard.shared_answers import Answer, Moment, SharedAnswers


class HistoryQueries:
    """Queries of the history from the event loop, while `follower` keeps it up to date."""

    def __init__(self, store: HistoryStore, follower: HistoryFollower) -> None:
        self._store = store
        self._follower = follower
        self._answers = SharedAnswers(store)

    async def ask(self, query: Callable[..., Answer], **arguments: object) -> Answer:
        """The result of `query(store, **arguments)`. Equal queries of one state share it."""
        return await self._answers.ask(Moment(self._store.version, 0, 0), query, **arguments)

    async def extent(self) -> Span | None:
        """From the first to the last message in the history."""
        return await self.ask(extent)

    def status(self) -> dict[str, Any]:
        """Progress and losses, for people and scripts."""
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
            "dropped_days": progress.dropped.days,
            "dropped_messages": progress.dropped.messages,
            "error": progress.error,
        }

    def close(self) -> None:
        self._answers.close()
