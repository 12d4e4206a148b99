"""The autonomous system (AS) of an address, by the longest prefix in a table of the user."""

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class AsTableError(ValueError):
    """A line of the table is wrong. The text states the line and what it needs."""


@dataclass(frozen=True, slots=True)
class AsTable:
    """AS numbers by prefix."""

    by_prefix: dict[tuple[int, int], dict[int, int]]
    """For each IP version and prefix length: the AS number of each network, whose bits after the prefix are cut off."""

    def as_number(self, address: str | None) -> int | None:
        """The AS of an address. None for any other text, and for an address outside all prefixes."""
        try:
            parsed = ipaddress.ip_address(address or "")
        except ValueError:
            return None
        for version, length in sorted(self.by_prefix, key=lambda each: -each[1]):
            if version == parsed.version:
                found = self.by_prefix[version, length].get(int(parsed) >> (parsed.max_prefixlen - length))
                if found is not None:
                    return found
        return None


def read_as_table(lines: Iterable[str]) -> AsTable:
    """A table from lines such as `192.0.2.0/24 64500`: prefix and AS number, separated by spaces, tabs or a comma.

    Empty lines and lines that begin with `#` or `;` are ignored. AsTableError names the first wrong line.
    """
    by_prefix: dict[tuple[int, int], dict[int, int]] = {}
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if not text or text[0] in "#;":
            continue
        network, asn = _entry(text, number)
        place = int(network.network_address) >> (network.max_prefixlen - network.prefixlen)
        by_prefix.setdefault((network.version, network.prefixlen), {})[place] = asn
    return AsTable(by_prefix)


def _entry(text: str, number: int) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, int]:
    parts = text.replace(",", " ").split()
    try:
        prefix, asn = parts
        network, as_number = ipaddress.ip_network(prefix), int(asn.upper().removeprefix("AS"))
    except ValueError as error:
        needed = "it needs a prefix and an AS number, such as '192.0.2.0/24 64500'"
        raise AsTableError(f"line {number} of the AS table is {text[:80]!r}; {needed}") from error
    if not 0 < as_number < 1 << 32:
        raise AsTableError(f"line {number} of the AS table: {as_number} is not an AS number (1 to 4294967295)")
    return network, as_number


def as_of_hops(as_numbers: Sequence[int | None]) -> list[int | None]:
    """The AS of each hop, where unknown hops between two hops of the same AS belong to it, and others stay None."""
    filled = list(as_numbers)
    known = [place for place, number in enumerate(as_numbers) if number is not None]
    for earlier, later in pairwise(known):
        if as_numbers[earlier] == as_numbers[later]:
            filled[earlier:later] = [as_numbers[earlier]] * (later - earlier)
    return filled


def as_path(as_numbers: Sequence[int | None]) -> list[int | None]:
    """The ASes that a path passes, each once in a row. None stands for hops of unknown AS, one or several."""
    return [number for number, _ in groupby(as_of_hops(as_numbers))]
