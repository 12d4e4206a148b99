"""What is believed of a reverse proxy: nothing, unless the connection itself comes from an address that the operator has named."""

from collections.abc import Sequence
from dataclasses import dataclass

from serving.forwarded import Network, ProxyHeader, Sender, is_trusted, sender


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
