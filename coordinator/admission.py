"""Which messages are kept and what is recorded of their sender's address. Pure: nothing here knows sockets or clocks."""

import ipaddress
from hashlib import blake2b

from coordinator.settings import AddressPolicy
from serving.forwarded import address_of

REDUCE_FROM = 0.5
"""From this load on (bytes held, of those that may be held) the share of end hosts is halved, second by second."""

CALM_BELOW = 0.125
"""Below this load the share is doubled again. Twice as many end hosts then do not bring the load back to REDUCE_FROM."""

LEAST_SHARE = 1 / 64
"""A smaller share would show nothing of the audience. At this share, the worker refuses messages instead."""


class Sampling:
    """The share of end hosts that is kept: the operator's `sample`, or less while the worker is overloaded."""

    def __init__(self, sample: float, *, reduces: bool) -> None:
        self._sample = sample
        self._reduces = reduces
        self._shed_share = 1.0
        self.share = sample
        """Of all end hosts, in (0, 1]."""

    @property
    def weight(self) -> float:
        """How many end hosts each kept one stands for."""
        return 1 / self.share

    @property
    def is_reduced(self) -> bool:
        return self._shed_share < 1

    def adapt(self, load: float) -> bool:
        """Called once a second with the bytes held, of those that may be held. True if the share has changed."""
        shed_share = next_share(self._shed_share, load) if self._reduces else 1.0
        changed = shed_share != self._shed_share
        self._shed_share, self.share = shed_share, self._sample * shed_share
        return changed


def kept(peer_id: str, share: float) -> bool:
    """Whether this end host is in a sample of this share. Every coordinator gives the same answer, so sessions stay whole."""
    # `person` makes this hash independent of the one that places messages: a sample must not empty a feedback server.
    digest = blake2b(peer_id.encode(), digest_size=8, person=b"sample").digest()
    return int.from_bytes(digest) < share * 2**64


def next_share(share: float, load: float) -> float:
    """The share of end hosts to keep in the next second, given the share and the load now.

    The share changes between seconds only, and by halves. Smaller samples are subsets of larger ones, so as many sessions as
    possible stay whole. The share of a second does not depend on who is in the sample, so records with the weight 1 / share
    estimate totals without bias (Horvitz and Thompson, 1952).
    """
    if load >= REDUCE_FROM:
        return max(LEAST_SHARE, share / 2)
    if load < CALM_BELOW:
        return min(1.0, share * 2)
    return share


def recorded_address(text: str, policy: AddressPolicy) -> str:
    """What a record contains of an address: all of it, its /24 or /48 network, or nothing. Empty if `text` is not an address."""
    address = address_of(text)
    if policy == "drop" or address is None:
        return ""
    if policy == "truncate":
        bits = 24 if address.version == 4 else 48
        return str(ipaddress.ip_network((address, bits), strict=False).network_address)
    return str(address)
