"""What is believed of a reverse proxy: nothing, unless the connection itself comes from an address that the operator has named."""

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from serving.forwarded import Network, ProxyHeader, Sender, is_trusted, sender


def networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """The networks of --trusted-proxy; ValueError if one is none."""
    try:
        return tuple(ipaddress.ip_network(text) for text in texts)
    except ValueError as error:
        raise ValueError(f"--trusted-proxy: {error}; it needs an address or a network, such as 10.0.0.1 or 10.0.0.0/24") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxies:
    """Who may speak for others, and in which headers they name the sender and the user ("": in none)."""

    trusted: tuple[Network, ...] = ()
    header: ProxyHeader = "x-forwarded-for"
    user_header: str = ""

    def trusts(self, address: str) -> bool:
        return is_trusted(address, self.trusted)

    def sender(self, peer: str, said: Sequence[str]) -> Sender:
        """Whose request it is: the last address in the lines of `header` that is no proxy of ours, if the peer is one."""
        return sender(peer, self.header, ",".join(said), self.trusted)

    def user(self, peer: str, said: Sequence[str]) -> str | None:
        """The user whom a trusted proxy names, exactly once; None if none is vouched for."""
        if len(said) != 1 or not self.trusts(peer):
            return None
        try:
            name = said[0].encode("latin-1").decode("utf-8").strip()
        except UnicodeError:
            return None
        return name if name and name.isprintable() else None
