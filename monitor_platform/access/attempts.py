"""How often a password may be tried: an allowance for each address and for each name, which comes back with time.

A name has a larger one than an address, so that who guesses from one place is stopped before the user is locked out with them.
"""

import ipaddress
from collections import OrderedDict

BY_ADDRESS = 10
BY_NAME = 50
REGAIN_S = 30.0
"""One more try for an address after so long: 2,880 a day, where a list of usual passwords has a million."""

REMEMBERED = 10_000
"""Addresses, and names, of which the one not seen for longest is forgotten first."""


class Allowance:
    """Tries left, by whom; a bucket that fills again at one in `regain_s`."""

    def __init__(self, most: int, regain_s: float) -> None:
        self._most = most
        self._regain_s = regain_s
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait_s(self, who: str, now_s: float) -> float:
        """How long until `who` may try; 0 if that is now."""
        return max(0.0, (1 - self._now(who, now_s)) * self._regain_s)

    def take(self, who: str, now_s: float) -> None:
        self._left[who] = self._now(who, now_s) - 1, now_s
        self._left.move_to_end(who)
        if len(self._left) > REMEMBERED:
            self._left.popitem(last=False)

    def restore(self, who: str) -> None:
        self._left.pop(who, None)

    def _now(self, who: str, now_s: float) -> float:
        left, at_s = self._left.get(who, (float(self._most), now_s))
        return min(self._most, left + max(0.0, now_s - at_s) / self._regain_s)


class Attempts:
    """Both allowances, asked together."""

    def __init__(self) -> None:
        self._addresses = Allowance(BY_ADDRESS, REGAIN_S)
        self._names = Allowance(BY_NAME, REGAIN_S * BY_ADDRESS / BY_NAME)

    def begin(self, address: str, name: str, now_s: float) -> float:
        """Count a try before its password is looked at; the seconds to wait first if it is one too many."""
        place = _place(address)
        wait_s = max(self._addresses.wait_s(place, now_s), self._names.wait_s(name, now_s))
        if not wait_s:
            self._addresses.take(place, now_s)
            self._names.take(name, now_s)
        return wait_s

    def succeeded(self, address: str, name: str) -> None:
        self._addresses.restore(_place(address))
        self._names.restore(name)


def _place(address: str) -> str:
    """An IPv6 host has as many addresses as it likes, within its /64."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return address
    return str(ipaddress.ip_network((ip, 64), strict=False)) if ip.version == 6 else address
