"""Tells the operator once a minute that trusted proxies name senders in a way that cannot be read; never with an address."""

import logging
from collections.abc import Mapping

MINUTE_S = 60.0
_MEANINGS = {
    "absent": "have no such header, so the proxy's own address is recorded",
    "hidden": "hide the sender's address",
    "unreadable": "hold no address that can be read",
}
_log = logging.getLogger(__name__)


class Notice:
    """What has been told so far."""

    def __init__(self) -> None:
        self._told: dict[str, int] = {}
        self._told_s = -MINUTE_S

    def tell(self, counts: Mapping[str, int], header: str, now_s: float) -> None:
        """Log what has been counted since the last line, if there is anything and a minute has passed."""
        if now_s - self._told_s < MINUTE_S:
            return
        fresh = {reason: count - self._told.get(reason, 0) for reason, count in sorted(counts.items())}
        told = [f"{count} {_MEANINGS[reason]}" for reason, count in fresh.items() if count]
        if told:
            self._told, self._told_s = dict(counts), now_s
            _log.warning(
                "%s of trusted proxies, requests since the last such line: %s (docs/coordinator.md)", header, "; ".join(told)
            )
