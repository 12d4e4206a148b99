"""The entrance to the dashboard: its sockets, its gate, and the host names that it accepts."""

from contextlib import ExitStack
from functools import partial
from socket import socket
from urllib.parse import urlsplit

from bokeh.server.util import bind_sockets

from monitor_platform.access.gate import Gate
from monitor_platform.access.proxies import Proxies
from monitor_platform.access.tickets import Tickets
from monitor_platform.access.users import Users
from monitor_platform.settings import Settings
from serving.forwarded import parse_networks
from serving.listening import host_and_port, is_loopback, listen_error


def listen(settings: Settings, opened: ExitStack) -> tuple[list[socket], int]:
    """The listening sockets, which `opened` closes, and their port; OSError if the address cannot be used."""
    try:
        sockets, port = bind_sockets(settings.host, settings.port)
    except OSError as error:
        raise OSError(listen_error(settings.host, settings.port, error)) from error
    for each in sockets:
        opened.callback(each.close)
    return sockets, port


def gate_of(settings: Settings, port: int, opened: ExitStack) -> Gate:
    gate = Gate(
        users=Users(settings.users) if settings.users is not None else None,
        proxies=Proxies(
            trusted=parse_networks(settings.trusted_proxy),
            header=settings.proxy_header,
            user_header=settings.trusted_user_header,
            role_header=settings.trusted_role_header,
        ),
        tickets=Tickets(lasts_s=settings.session_hours * 3600),
        # Cookies ignore ports, so two dashboards on one host need two names.
        cookie=f"{_cookie_prefix(settings)}swarmscope-{port}",
        knows=partial(is_known, allowed_hosts(settings, port)),
    )
    opened.callback(gate.close)
    return gate


def _cookie_prefix(settings: Settings) -> str:
    """The prefix that makes browsers refuse a cookie of an unencrypted page; `__Host-` is only for cookies of a whole host."""
    if not settings.is_https:
        return ""
    return "__Secure-" if settings.public_path else "__Host-"


def allowed_hosts(settings: Settings, port: int) -> frozenset[str]:
    """The Host headers and origins that the dashboard accepts. Pages of other origins may not use its websocket."""
    own = {host_and_port(settings.host, port)}
    if is_loopback(settings.host):
        own.add(f"localhost:{port}")
    if settings.behind_proxy:
        public = urlsplit(settings.behind_proxy).netloc.lower()
        # Bokeh assumes port 80 for an origin without a port, for any scheme.
        own |= {public, public if ":" in public else f"{public}:80"}
    return frozenset(own)


def is_known(hosts: frozenset[str], host: str) -> bool:
    """Whether a dashboard without login accepts this Host header. A tunnel may use any loopback port."""
    try:
        return host.lower() in hosts or urlsplit(f"//{host}").hostname in {"localhost", "127.0.0.1", "::1"}
    except ValueError:
        return False
