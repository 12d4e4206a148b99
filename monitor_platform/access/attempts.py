"""Limits password attempts by address and by user name. The allowance recovers with time.

The limit of a name is higher than that of an address, so that attempts from one address do not lock out the user.
"""

import ipaddress
from collections import OrderedDict

BY_ADDRESS = 10
BY_NAME = 50
REGAIN_S = 30.0
"""Time until an address gets one more attempt: 2,880 attempts a day, while lists of common passwords have a million entries."""

REMEMBERED = 10_000
"""Addresses, and names, in memory; the least recent one is removed first."""


class Allowance:
    """Attempts left for each key: token buckets that get one token every `regain_s`."""

    def __init__(self, most: int, regain_s: float) -> None:
        self._most = most
        self._regain_s = regain_s
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait_s(self, key: str, now_s: float) -> float:
        """Seconds until `key` may try; 0 for now."""
        return max(0.0, (1 - self._tokens(key, now_s)) * self._regain_s)

    def take(self, key: str, now_s: float) -> None:
        self._left[key] = self._tokens(key, now_s) - 1, now_s
        self._left.move_to_end(key)
        if len(self._left) > REMEMBERED:
            self._left.popitem(last=False)

    def restore(self, key: str) -> None:
        self._left.pop(key, None)

    def _tokens(self, key: str, now_s: float) -> float:
        left, at_s = self._left.get(key, (float(self._most), now_s))
        return min(self._most, left + max(0.0, now_s - at_s) / self._regain_s)


class Attempts:
    """The limits of addresses and names together."""

    def __init__(self) -> None:
        self._addresses = Allowance(BY_ADDRESS, REGAIN_S)
        self._names = Allowance(BY_NAME, REGAIN_S * BY_ADDRESS / BY_NAME)

    def begin(self, address: str, name: str, now_s: float) -> float:
        """Count an attempt before its password is checked. Returns the seconds to wait if there are too many attempts, else 0."""
        key = _key_of(address)
        wait_s = max(self._addresses.wait_s(key, now_s), self._names.wait_s(name, now_s))
        if not wait_s:
            self._addresses.take(key, now_s)
            self._names.take(name, now_s)
        return wait_s

    def succeeded(self, address: str, name: str) -> None:
        self._addresses.restore(_key_of(address))
        self._names.restore(name)


def _key_of(address: str) -> str:
    """The key of an address. An IPv6 host can use any address of its /64, so that network is the key."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return address
    return str(ipaddress.ip_network((ip, 64), strict=False)) if ip.version == 6 else address
