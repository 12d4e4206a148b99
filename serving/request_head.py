"""Checks of a request's head that HTTP/1.1 demands (RFC 9110 and 9112) and the parser does not make."""

import re
from collections.abc import Sequence

from feedback_wire.problem import Problem

Headers = Sequence[tuple[bytes, bytes]]

_HOST = re.compile(rb"[A-Za-z0-9._~!$&'()*+,;=%:\[\]-]*")
_ABSOLUTE = re.compile(rb"https?://[^/?#]*", re.IGNORECASE)


def check_head(headers: Headers, version: str) -> None:
    """Problem (400, 501) for a version other than HTTP/1, for no Host or several, and for transfer codings other than chunked."""
    if version not in ("1.0", "1.1"):
        raise Problem(400, "bad_http", "the request line ends with HTTP/1.1 or HTTP/1.0")
    hosts, codings = [], []
    for name, value in headers:
        lower = name.lower()
        if lower == b"host":
            hosts.append(value)
        elif lower == b"transfer-encoding":
            codings += [coding.strip() for coding in value.lower().split(b",")]
    if len(hosts) > 1 or (not hosts and version == "1.1"):
        raise Problem(400, "bad_http", f"a request has one Host header; this one has {len(hosts)}")
    if hosts and _HOST.fullmatch(hosts[0].strip()) is None:
        raise Problem(400, "bad_http", "the Host header does not contain a host")
    if codings:
        _check_codings(codings, version)


def _check_codings(codings: list[bytes], version: str) -> None:
    if version != "1.1" or codings[-1] != b"chunked" or codings.count(b"chunked") > 1:
        raise Problem(400, "bad_http", "the body's end is ambiguous: the last transfer encoding is chunked, once, in HTTP/1.1")
    if len(codings) > 1:
        raise Problem(501, "unsupported_transfer_encoding", "chunked is the only transfer encoding; send gzip as Content-Encoding")


def origin_form(target: bytes) -> bytes:
    """A request target without the scheme and host of the absolute form `http://host/path` (RFC 9112, section 3.2.2)."""
    absolute = _ABSOLUTE.match(target)
    if absolute is None:
        return target
    rest = target[absolute.end() :]
    return rest if rest.startswith(b"/") else b"/" + rest


def without_upgrade(method: bytes, target: bytes, version: str, headers: Headers) -> bytes:
    """The head of a request without its Upgrade header: servers may ignore it (RFC 9110, section 7.8)."""
    lines = [b"%b %b HTTP/%b" % (method, target, version.encode())]
    for name, value in headers:
        lower = name.lower()
        if lower == b"connection":
            options = [option for option in value.split(b",") if option.strip().lower() != b"upgrade"]
            lines.append(b"Connection: " + b",".join(options))
        elif lower != b"upgrade":
            lines.append(b"%b: %b" % (name, value))
    return b"\r\n".join([*lines, b"", b""])
