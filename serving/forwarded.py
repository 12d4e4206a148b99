"""The sender of a request, as a reverse proxy names it in `X-Forwarded-For`, `Forwarded` (RFC 7239) or `X-Real-IP`.

A proxy appends the address from which it received the request, so the nearest hop is the last one. Only the entries of trusted
proxies count: anyone can invent what is to the left of the first untrusted address. A hop that cannot be parsed ends the search
without an address. With the proxy's own address instead, the whole audience would appear where the proxy is.
"""

import ipaddress
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

ProxyHeader = Literal["x-forwarded-for", "forwarded", "x-real-ip"]
Unknown = Literal["", "absent", "hidden", "unreadable"]
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

HOP_CHARS = 100
"""A longer hop is not an address: an address has at most 39 characters, and brackets, a zone and a port."""

HEADER_CHARS = 4096
HOPS = 64
"""A header with more characters or hops is unreadable. No chain of proxies is so long, and parsing it delays other senders."""

_MAPPED_BITS = 96
"""The bits before an IPv4 address that is mapped into IPv6 (RFC 4291, section 2.5.5.2)."""

_PORT = re.compile(r"(?::(?:[0-9]{1,5}|_[A-Za-z0-9._-]+))?")
# Possessive, and with an optional closing quote, so that they are linear in any text.
_ELEMENT = re.compile(r'(?:[^,"]++|"(?:[^"\\]++|\\.)*+"?)++', re.DOTALL)
_PAIR = re.compile(r'(?:[^;"]++|"(?:[^"\\]++|\\.)*+"?)++', re.DOTALL)
_WHOLE_PAIR = re.compile(r'[^"]*+|[^"]*=\s*"(?:[^"\\]++|\\.)*+"\s*', re.DOTALL)
_QUOTED = re.compile(r'"((?:[^"\\]++|\\.)*+)"', re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class SenderAddress:
    """The sender of a request: an address in its shortest form, or "" and the reason why it is unknown.

    `absent` means that a trusted proxy named no address; then `address` is the proxy's own. `hidden` stands for `unknown` and for
    obfuscated identifiers (RFC 7239).
    """

    address: str
    unknown: Unknown = ""


def address_of(text: str) -> Address | None:
    """The address in `text`, without its zone; the IPv4 address for one that is mapped into IPv6. None for other texts."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, ipaddress.IPv6Address) else address


def network_of(text: str) -> Network:
    """The network in `text`; the IPv4 network for one that is mapped into IPv6, as `address_of` does for an address.

    ValueError if `text` is neither an address nor a network.
    """
    network = ipaddress.ip_network(text)
    mapped = network.network_address.ipv4_mapped if isinstance(network, ipaddress.IPv6Network) else None
    if mapped is None or network.prefixlen < _MAPPED_BITS:
        return network
    return ipaddress.ip_network((mapped, network.prefixlen - _MAPPED_BITS))


def parse_networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """The networks of --trusted-proxy; ValueError if a text is neither an address nor a network."""
    try:
        return tuple(network_of(text) for text in texts)
    except ValueError as error:
        raise ValueError(f"--trusted-proxy: {error}; it needs an address or a network, such as 10.0.0.1 or 10.0.0.0/24") from None


def is_trusted(peer: str, trusted: Sequence[Network]) -> bool:
    """Whether `peer` is an address in one of the networks."""
    address = address_of(peer)
    return address is not None and _within(address, trusted)


def sender(peer: str, header: ProxyHeader, value: str, trusted: Sequence[Network]) -> SenderAddress:
    """The sender of a request from `peer` with `value` in the header. Join several lines of the header with commas."""
    at = address_of(peer)
    if at is None or not _within(at, trusted):
        return SenderAddress(peer if at is None else str(at))
    if len(value) > HEADER_CHARS:
        return SenderAddress("", "unreadable")
    hops = _hops(header, value)
    if len(hops) > HOPS:
        return SenderAddress("", "unreadable")
    if not hops:
        return SenderAddress(str(at), "absent")
    while hops and _within(at, trusted):
        hop = _unquoted(_for(hops.pop()) if header == "forwarded" else hops.pop())
        if hop.partition(":")[0].lower() == "unknown" or hop.startswith("_"):
            return SenderAddress("", "hidden")
        read = _hop_address(hop)
        if read is None:
            return SenderAddress("", "unreadable")
        at = read
    return SenderAddress(str(at))


def _within(address: Address, networks: Sequence[Network]) -> bool:
    return any(address in network for network in networks)


def _hops(header: ProxyHeader, value: str) -> list[str]:
    """The hops in the header, the nearest last, without empty list elements (RFC 9110, section 5.6.1)."""
    if header == "forwarded":
        return [element for element in _ELEMENT.findall(value) if element.strip()]
    if header == "x-real-ip":
        return [value.strip()] if value.strip() else []
    return [hop for part in value.split(",") if (hop := part.strip())]


def _for(element: str) -> str:
    """The value of `for` in one element of Forwarded; `unknown` if there is none, "" if the element is ambiguous.

    An element is ambiguous if it has two `for` values, an open quote, or a quote within a value. Otherwise a sender's own
    `for=A;x="` would swallow the element that a proxy appends, and A would count as the sender.
    """
    pairs = _PAIR.findall(element)
    if any(_WHOLE_PAIR.fullmatch(pair) is None for pair in pairs):
        return ""
    values = [value.strip() for name, _, value in (pair.partition("=") for pair in pairs) if name.strip().lower() == "for"]
    if not values:
        return "unknown"
    return values[0] if len(values) == 1 else ""


def _unquoted(text: str) -> str:
    quoted = _QUOTED.fullmatch(text)
    return _ESCAPED.sub(r"\1", quoted[1]).strip() if quoted else text


def _hop_address(text: str) -> Address | None:
    """The address in `IP`, `IP:port`, `[IPv6]` or `[IPv6]:port`."""
    if len(text) > HOP_CHARS:
        return None
    if text.startswith("["):
        host, _, port = text[1:].partition("]")
        host = host if ":" in host and "]" in text else ""
    elif text.count(":") == 1:
        host, port = text[: text.index(":")], text[text.index(":") :]
    else:
        host, port = text, ""
    return address_of(host) if _PORT.fullmatch(port) else None
