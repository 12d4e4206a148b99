"""The validity period of a certificate, read from its PEM file.

Python's ssl module loads an expired certificate without an error. An operator who installs a wrong file would learn of it only from
clients that cannot connect. Only the first certificate of a file counts, because it is the one that clients see.
"""

import base64
import re
from datetime import UTC, datetime
from pathlib import Path

from serving.regular_files import read_regular

SOON_S = 7 * 86_400
_FIRST = re.compile(rb"-----BEGIN CERTIFICATE-----(.+?)-----END CERTIFICATE-----", re.DOTALL)
_SEQUENCE, _VERSION, _UTC_TIME, _GENERALIZED_TIME = 0x30, 0xA0, 0x17, 0x18


def validity_warning(path: Path, now_s: float) -> str:
    """A warning about the certificate's validity period; empty if it is fine, or if the file cannot be read."""
    try:
        begins, ends = validity(read_regular(path))
    except (OSError, ValueError):
        return ""
    if now_s < begins.timestamp():
        return f"the certificate {path} is not valid before {begins:%Y-%m-%d %H:%M} UTC: clients that verify it cannot connect"
    if now_s > ends.timestamp():
        return f"the certificate {path} expired at {ends:%Y-%m-%d %H:%M} UTC: clients that verify it cannot connect; renew it"
    if now_s > ends.timestamp() - SOON_S:
        return f"the certificate {path} expires at {ends:%Y-%m-%d %H:%M} UTC; renew it"
    return ""


def validity(pem: bytes) -> tuple[datetime, datetime]:
    """Start and end of the validity of the first certificate in `pem` (RFC 5280 section 4.1); ValueError if there is none."""
    found = _FIRST.search(pem)
    if found is None:
        raise ValueError("it contains no certificate")
    _, certificate = _parts(base64.b64decode(found[1]))[0]
    tag, signed = _parts(certificate)[0]
    # version (optional), serial number, signature, issuer, validity
    fields = _parts(signed)
    if tag != _SEQUENCE or len(fields) < 5:
        raise ValueError("it is not a certificate")
    _, times = fields[4 if fields[0][0] == _VERSION else 3]
    begins, ends = _parts(times)
    return _moment(*begins), _moment(*ends)


def _parts(der: bytes) -> list[tuple[int, bytes]]:
    """Tags and contents of the elements of `der`, in order."""
    parts = []
    at = 0
    while at < len(der):
        tag, size, at = der[at], der[at + 1] if at + 1 < len(der) else 0, at + 2
        if size & 0x80:
            count = size & 0x7F
            size, at = int.from_bytes(der[at : at + count]), at + count
        if at + size > len(der):
            raise ValueError("it is cut off")
        parts.append((tag, der[at : at + size]))
        at += size
    if not parts:
        raise ValueError("it is empty")
    return parts


def _moment(tag: int, text: bytes) -> datetime:
    form = {_UTC_TIME: "%y%m%d%H%M%SZ", _GENERALIZED_TIME: "%Y%m%d%H%M%SZ"}.get(tag)
    if form is None:
        raise ValueError("it has no time")
    moment = datetime.strptime(text.decode("ascii"), form).replace(tzinfo=UTC)
    # RFC 5280: two-digit years from 50 on are in the 20th century; Python begins it at 69.
    return moment.replace(year=moment.year - 100) if tag == _UTC_TIME and moment.year >= 2050 else moment
