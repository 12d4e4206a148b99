"""The address that a server listens on, as `HOST:PORT`, and the URL at which clients reach it."""

import ipaddress
import os
from urllib.parse import urlsplit


def parse_listen(text: str) -> tuple[str, int]:
    """Host and port of `--listen HOST:PORT` or `[IPV6]:PORT`; ValueError for anything else."""
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not (colon and host and is_host(host) and port.isascii() and port.isdigit() and int(port) <= 65_535):
        raise ValueError(f"--listen is {text!r}; it needs an address and a port, such as 127.0.0.1:8080 or [::1]:8080")
    return host, int(port)


def is_host(text: str) -> bool:
    """Whether `text` can be looked up. For a name with an empty or too long label, such as a..b, Python raises UnicodeError."""
    try:
        text.encode("idna")
    except UnicodeError:
        return False
    return True


def listen_error(host: str, port: int, error: OSError) -> str:
    """Why nothing can listen on this address."""
    return f"cannot listen on {host_and_port(host, port)}: {reason_of(error)}"


def reason_of(error: OSError) -> str:
    """The system's text for the error of a socket. Python and asyncio repeat the address in `strerror`, each in another form."""
    return os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror or str(error)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_http_url(text: str) -> bool:
    """Whether `text` is an http or https URL with a host and, if it names a port, a valid one."""
    try:
        url = urlsplit(text)
        return url.scheme in {"http", "https"} and bool(url.hostname) and is_host(url.hostname or "") and url.port != 0
    except ValueError:  # the port is no number, or too large
        return False


def host_and_port(host: str, port: int) -> str:
    """`HOST:PORT`, with an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def url_of(host: str, port: int, *, secure: bool) -> str:
    """The http URL of a server, or its https URL if it is `secure`."""
    return f"{'https' if secure else 'http'}://{host_and_port(host, port)}"
