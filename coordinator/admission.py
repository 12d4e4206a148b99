"""What is recorded of whom: the address by policy, sampling by end host, less of it under load. Nothing here knows of sockets."""

import ipaddress
from hashlib import blake2b

from coordinator.settings import AddressPolicy
from serving.forwarded import address_of

SHED_FROM = 0.5
"""From this load on (held bytes of those that may be held) the share of end hosts is halved, second by second."""

CALM_BELOW = 0.125
"""Below it the share is doubled again. Far enough from SHED_FROM that twice as many end hosts do not bring the load back there."""

LEAST_SHARE = 1 / 64
"""With fewer end hosts there would be nothing to see; a larger crowd is refused."""


def kept(peer_id: str, share: float) -> bool:
    """Whether this end host is in the sample: always the same answer, on every coordinator, so that sessions stay whole."""
    # The person field keeps this hash apart from the one that places messages: a sample must not empty a server.
    digest = blake2b(peer_id.encode(), digest_size=8, person=b"sample").digest()
    return int.from_bytes(digest) < share * 2**64


def next_share(share: float, load: float) -> float:
    """The share of end hosts to keep for the next second, of those that the sample keeps, given the load now.

    It changes only between seconds and by halves, and smaller samples lie within larger ones: sessions stay as whole as they can.
    What a second's share is does not depend on who is in it, so that records weighed with 1 / share estimate totals without bias
    (Horvitz and Thompson, 1952).
    """
    if load >= SHED_FROM:
        return max(LEAST_SHARE, share / 2)
    if load < CALM_BELOW:
        return min(1.0, share * 2)
    return share


def recorded_address(text: str, policy: AddressPolicy) -> str:
    """What the record says of an address: all, its /24 or /48 network, or nothing; nothing for what is no address."""
    address = address_of(text)
    if policy == "drop" or address is None:
        return ""
    if policy == "truncate":
        bits = 24 if address.version == 4 else 48
        return str(ipaddress.ip_network((address, bits), strict=False).network_address)
    return str(address)
