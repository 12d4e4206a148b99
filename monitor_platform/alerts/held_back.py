"""Decides which starts and ends of alerts are sent to webhooks, given what is silenced. Without I/O.

A webhook gets the end of an alert only if it got its start. If a silence ends while its alert is open, the webhook gets the start
then.
"""

from collections.abc import Callable
from typing import Any

from monitor_platform.alerts.alert_watch import ExplainedAlert

_Key = tuple[Any, ...]


class HeldBack:
    """The starts of open alerts that were held back, because they were silenced."""

    def __init__(self) -> None:
        self._begins: dict[_Key, ExplainedAlert] = {}
        self.silenced = 0
        """The number of starts and ends that were held back."""

    def passes(self, explained: ExplainedAlert, *, silenced: bool) -> bool:
        """Whether webhooks get this start or end of an alert now."""
        key, ends = _key(explained), explained.alert.ended_ms is not None
        without_begin = ends and self._begins.pop(key, None) is not None
        if not silenced and not without_begin:
            return True
        self.silenced += 1
        if not ends:
            self._begins[key] = explained
        return False

    def released(self, is_silenced: Callable[[ExplainedAlert], bool]) -> list[ExplainedAlert]:
        """The starts that were held back and are not silenced any more, each once."""
        free = [key for key, explained in self._begins.items() if not is_silenced(explained)]
        return [self._begins.pop(key) for key in free]


def _key(explained: ExplainedAlert) -> _Key:
    return explained.alert.rule.name, explained.alert.names, explained.alert.began_ms
