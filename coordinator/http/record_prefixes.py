"""Who sent a request, and the prefix that says so: the first bytes of each record, with address, weight and coordinator name."""

import logging
from collections.abc import Mapping
from functools import lru_cache

from coordinator.admission import recorded_address
from coordinator.settings import Settings
from coordinator.worker_counters import WorkerCounters
from feedback_wire.record import Origin
from serving.forwarded import SenderAddress, is_trusted, parse_networks, sender

KNOWN_SENDERS = 16_384
KNOWN_CHARS = 100
"""A longer header of a proxy is not remembered; so all known senders together take at most 15 MiB."""

WARNING_PAUSE_S = 60.0
_MEANINGS = {
    "absent": "have no such header, so the proxy's own address is recorded",
    "hidden": "hide the sender's address",
    "unreadable": "hold no address that can be read",
}
_log = logging.getLogger(__name__)


class RecordPrefixes:
    """The senders of requests, and their prefixes under the weight in force."""

    def __init__(self, settings: Settings, counters: WorkerCounters, weight: float) -> None:
        self.proxy_header = settings.proxy_header
        self._trusted = parse_networks(settings.trusted_proxy)
        self._settings = settings
        self._weight = weight
        self._unknown = counters.senders_unknown
        self._warned: Mapping[str, int] = {}
        self._warned_s = -WARNING_PAUSE_S
        # Reading and formatting an address take longer than checking a message, and end hosts come back.
        self._known_sender = lru_cache(KNOWN_SENDERS)(self._find_sender)
        self._known_prefix = lru_cache(KNOWN_SENDERS)(self._make_prefix)

    @property
    def trusts_proxies(self) -> bool:
        return bool(self._trusted)

    def is_proxy(self, peer: str) -> bool:
        """Whether this address may name other senders."""
        return is_trusted(peer, self._trusted)

    def of(self, peer: str, forwarded: str = "") -> bytes:
        """The first bytes of every record of a sender; `forwarded` is the header in which a trusted proxy names it."""
        # Headers of usual length come from end hosts that come back; the others could fill any memory.
        find = self._known_sender if len(forwarded) <= KNOWN_CHARS else self._find_sender
        found = find(peer, forwarded)
        if found.unknown:
            self._unknown[found.unknown] += 1
        return self._known_prefix(found.address)

    def weigh(self, weight: float) -> None:
        """Write this weight into the prefixes from now on."""
        self._weight = weight
        self._known_prefix.cache_clear()

    def warn_of_unknown_senders(self, now_s: float) -> None:
        """Log, at most once a minute, how many requests named no readable sender since the last warning; never an address."""
        if now_s - self._warned_s < WARNING_PAUSE_S:
            return
        new = {reason: count - self._warned.get(reason, 0) for reason, count in sorted(self._unknown.items())}
        parts = [f"{count} {_MEANINGS[reason]}" for reason, count in new.items() if count]
        if parts:
            self._warned, self._warned_s = dict(self._unknown), now_s
            _log.warning(
                "%s of trusted proxies, requests since the last such line: %s (docs/coordinator.md)",
                self.proxy_header,
                "; ".join(parts),
            )

    def _find_sender(self, peer: str, forwarded: str) -> SenderAddress:
        return sender(peer, self.proxy_header, forwarded, self._trusted)

    def _make_prefix(self, ip: str) -> bytes:
        address = recorded_address(ip, self._settings.ip)
        return Origin(ip=address, weight=self._weight, via=self._settings.name).prefix()
