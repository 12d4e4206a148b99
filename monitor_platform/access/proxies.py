"""Headers of reverse proxies. They are ignored unless the connection comes from an address in --trusted-proxy."""

from collections.abc import Sequence
from dataclasses import dataclass

from monitor_platform.access.roles import UserRole
from serving.forwarded import Network, ProxyHeader, SenderAddress, is_trusted, sender


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxies:
    """The trusted proxies, and the headers in which they name the sender, the user and the role ("": no such header)."""

    trusted: tuple[Network, ...] = ()
    header: ProxyHeader = "x-forwarded-for"
    user_header: str = ""
    role_header: str = ""

    def trusts(self, address: str) -> bool:
        return is_trusted(address, self.trusted)

    def sender(self, peer: str, lines: Sequence[str]) -> SenderAddress:
        """The sender of a request: the last address in `header` that is not a trusted proxy, if the peer is one."""
        return sender(peer, self.header, ",".join(lines), self.trusted)

    def user(self, peer: str, lines: Sequence[str]) -> str | None:
        """The user that a trusted proxy names exactly once; None if there is none."""
        if len(lines) != 1 or not self.trusts(peer):
            return None
        try:
            name = lines[0].encode("latin-1").decode("utf-8").strip()
        except UnicodeError:
            return None
        return name if name and name.isprintable() else None

    def role(self, lines: Sequence[str]) -> UserRole:
        """The role of a user that a trusted proxy names: a manager, unless `role_header` is configured and names none."""
        manager = not self.role_header or [line.strip() for line in lines] == [UserRole.MANAGER]
        return UserRole.MANAGER if manager else UserRole.VIEWER
