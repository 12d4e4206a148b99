"""HTTP: the phases of a GET request. Each probe opens a new connection, and sends it to the address of the destination only.

A redirect is followed if it stays on the same host, scheme and port; another host would be another destination.
"""

import ipaddress
import socket
import ssl
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import HTTPException, HTTPResponse
from urllib.parse import urljoin, urlsplit

from measurement.outcome import Status, Value
from measurement.technique_parameters import HttpParameters
from measurement.techniques.task import Findings, NotMeasured, Task, values_of

PORTS = {"http": 80, "https": 443}
REDIRECTS = {301, 302, 303, 307, 308}
CHUNK_BYTES = 65_536
DAY_S = 86_400.0


@dataclass(slots=True)
class _Get:
    """One operation, with the values of the last request."""

    task: Task
    parameters: HttpParameters
    end: float
    found: dict[str, float | None] = field(default_factory=dict)
    redirects: int = 0

    @property
    def port(self) -> int:
        return self.task.port(PORTS[self.parameters.scheme])

    @property
    def host(self) -> str:
        """As in the header `Host`."""
        host = self.task.destination.host
        named = f"[{host}]" if ":" in host else host
        return named if self.port == PORTS[self.parameters.scheme] else f"{named}:{self.port}"

    def left_s(self) -> float:
        """TimeoutError when the time is over."""
        left = min(self.end - time.monotonic(), self.task.left_s())
        if left <= 0:
            raise TimeoutError
        return left

    def values(self) -> list[Value]:
        return values_of(self.found | {"redirects": float(self.redirects)})


def http_get(task: Task, parameters: HttpParameters) -> Findings:
    """Request the path and follow redirects."""
    get = _Get(task, parameters, time.monotonic() + parameters.timeout_ms / 1e3)
    begin, path = time.monotonic(), parameters.path
    try:
        if parameters.lookup:
            _look_up(get)
        while (target := _request(get, path)) is not None and get.redirects < parameters.redirects:
            path = target
            get.redirects += 1
    except TimeoutError:
        reason = f"no complete answer within {parameters.timeout_ms} ms"
        raise NotMeasured(Status.PARTIAL if "tcp_ms" in get.found else Status.TIMEOUT_TARGET, reason, get.values()) from None
    except ssl.SSLError as error:
        raise NotMeasured(Status.PARTIAL, f"TCP works, TLS fails: {_tls_text(error)}", get.values()) from None
    except (HTTPException, ConnectionError) as error:
        if "tcp_ms" not in get.found:
            raise
        reason = f"the server ended the connection or does not speak HTTP: {type(error).__name__}"
        raise NotMeasured(Status.PARTIAL, reason, get.values()) from None
    get.found["total_ms"] = (time.monotonic() - begin) * 1e3
    status = int(get.found["http_status"] or 0)
    return Findings(values=get.values(), reason=f"the server answers {status}" if status >= 400 else "")


def _tls_text(error: ssl.SSLError) -> str:
    return getattr(error, "verify_message", "") or error.reason or str(error)


def _look_up(get: _Get) -> None:
    """How long the agent's resolver needs for the name. The result is not used: the master chose the address."""
    name = get.task.destination.host
    with suppress(ValueError):
        ipaddress.ip_address(name)
        return
    begin, took_ms = time.monotonic(), list[float]()

    def look_up() -> None:
        with suppress(OSError, UnicodeError):
            socket.getaddrinfo(name, get.port, type=socket.SOCK_STREAM)
            took_ms.append((time.monotonic() - begin) * 1e3)

    thread = threading.Thread(target=look_up, daemon=True)  # it has no timeout of its own
    thread.start()
    thread.join(get.left_s())
    get.found["dns_ms"] = took_ms[0] if took_ms else None


def _request(get: _Get, path: str) -> str | None:
    """Request one path; the path to which the server redirects, if it stays there."""
    for name in ("tcp_ms", "tls_ms", "first_byte_ms", "transfer_ms", "http_status"):
        get.found.pop(name, None)
    begin = time.monotonic()
    with get.task.socket(socket.SOCK_STREAM) as plain:
        plain.settimeout(get.left_s())
        plain.connect((get.task.address, get.port))
        get.found["tcp_ms"] = (time.monotonic() - begin) * 1e3
        with _secured(get, plain) as sock:
            return _exchange(get, sock, path)


def _secured(get: _Get, plain: socket.socket) -> socket.socket:
    if get.parameters.scheme == "http":
        return plain
    context = ssl.create_default_context()
    if get.task.settings.ca_file:
        context.load_verify_locations(get.task.settings.ca_file)
    get.found["tls_ms"] = None  # not known, unless the handshake succeeds
    begin = time.monotonic()
    secured = context.wrap_socket(plain, server_hostname=get.task.destination.host)
    get.found["tls_ms"] = (time.monotonic() - begin) * 1e3
    certificate = secured.getpeercert() or {}
    ends = certificate.get("notAfter")
    if isinstance(ends, str):
        get.found["certificate_days_left"] = (ssl.cert_time_to_seconds(ends) - time.time()) / DAY_S
    return secured


def _exchange(get: _Get, sock: socket.socket, path: str) -> str | None:
    request = (
        f"GET {path} HTTP/1.1\r\nHost: {get.host}\r\nUser-Agent: swarmscope-measurement\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    )
    begin = time.monotonic()
    sock.settimeout(get.left_s())
    sock.sendall(request.encode("ascii", "replace"))
    with HTTPResponse(sock, method="GET") as response:
        response.fp.peek(1)
        get.found["first_byte_ms"] = (time.monotonic() - begin) * 1e3
        response.begin()
        get.found["http_status"] = float(response.status)
        size, begin = 0, time.monotonic()
        while size < get.parameters.most_bytes:
            sock.settimeout(get.left_s())
            part = response.read(min(CHUNK_BYTES, get.parameters.most_bytes - size))
            if not part:
                break
            size += len(part)
        get.found |= {"transfer_ms": (time.monotonic() - begin) * 1e3, "body_bytes": float(size)}
        return _same_host(get, path, response) if response.status in REDIRECTS else None


def _same_host(get: _Get, path: str, response: HTTPResponse) -> str | None:
    here = f"{get.parameters.scheme}://{get.host}"
    try:
        target = urlsplit(urljoin(here + path, response.headers.get("Location", "")))
    except ValueError:
        return None
    if f"{target.scheme}://{target.netloc}" != here:
        return None
    new = (target.path or "/") + (f"?{target.query}" if target.query else "")
    return new if new.isascii() and new.isprintable() and " " not in new else None
