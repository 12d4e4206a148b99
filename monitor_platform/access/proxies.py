"""What is believed of a reverse proxy: nothing, unless the connection itself comes from an address that the operator has named."""

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """The networks of --trusted-proxy; ValueError if one is none."""
    try:
        return tuple(ipaddress.ip_network(text) for text in texts)
    except ValueError as error:
        raise ValueError(f"--trusted-proxy: {error}; it needs an address or a network, such as 10.0.0.1 or 10.0.0.0/24") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxies:
    """Who may speak for others, and in which header they name the user ("": in none)."""

    trusted: tuple[Network, ...] = ()
    user_header: str = ""

    def trusts(self, address: str) -> bool:
        try:
            ip = ipaddress.ip_address(address)
        except ValueError:
            return False
        plain = getattr(ip, "ipv4_mapped", None) or ip
        return any(plain in network for network in self.trusted)

    def client(self, peer: str, forwarded: Sequence[str]) -> str:
        """Whose request it is: the last address in X-Forwarded-For that is no proxy of ours, if the peer is one."""
        if not self.trusts(peer):
            return peer
        for address in reversed([part.strip() for line in forwarded for part in line.split(",")]):
            if not self.trusts(address):
                return address if _is_address(address) else peer
        return peer

    def user(self, peer: str, said: Sequence[str]) -> str | None:
        """The user whom a trusted proxy names, exactly once; None if none is vouched for."""
        if len(said) != 1 or not self.trusts(peer):
            return None
        try:
            name = said[0].encode("latin-1").decode("utf-8").strip()
        except UnicodeError:
            return None
        return name if name and name.isprintable() else None


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
