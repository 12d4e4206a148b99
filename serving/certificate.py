"""When the time of a certificate begins and ends, read from its PEM file.

Python's ssl loads and shows a certificate that nobody will take any more without a word, so whoever renews one with the wrong file
would hear of it from those who cannot connect. Only the first certificate of a file is looked at: it is the one that is shown.
"""

import base64
import re
from datetime import UTC, datetime
from pathlib import Path

SOON_S = 7 * 86_400
_FIRST = re.compile(rb"-----BEGIN CERTIFICATE-----(.+?)-----END CERTIFICATE-----", re.DOTALL)
_SEQUENCE, _VERSION, _UTC_TIME, _GENERALIZED_TIME = 0x30, 0xA0, 0x17, 0x18


def concern(path: Path, now_s: float) -> str:
    """What is wrong with the certificate's time; empty if nothing is, or if the file cannot be read so far."""
    try:
        begins, ends = validity(path.read_bytes())
    except (OSError, ValueError):
        return ""
    if now_s < begins.timestamp():
        return f"the certificate {path} is not valid before {begins:%Y-%m-%d %H:%M} UTC: nobody who checks it connects"
    if now_s > ends.timestamp():
        return f"the certificate {path} has expired at {ends:%Y-%m-%d %H:%M} UTC: nobody who checks it connects; renew it"
    if now_s > ends.timestamp() - SOON_S:
        return f"the certificate {path} expires at {ends:%Y-%m-%d %H:%M} UTC; renew it"
    return ""


def validity(pem: bytes) -> tuple[datetime, datetime]:
    """First and last moment of the first certificate in `pem` (RFC 5280 section 4.1); ValueError if there is none."""
    found = _FIRST.search(pem)
    if found is None:
        raise ValueError("there is no certificate in it")
    _, certificate = _parts(base64.b64decode(found[1]))[0]
    tag, signed = _parts(certificate)[0]
    # version (which may be left out), serial number, signature, issuer, validity
    fields = _parts(signed)
    if tag != _SEQUENCE or len(fields) < 5:
        raise ValueError("it is no certificate")
    _, times = fields[4 if fields[0][0] == _VERSION else 3]
    begins, ends = _parts(times)
    return _moment(*begins), _moment(*ends)


def _parts(der: bytes) -> list[tuple[int, bytes]]:
    """Tags and contents of what stands in `der` one behind the other."""
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
        raise ValueError("there is nothing in it")
    return parts


def _moment(tag: int, text: bytes) -> datetime:
    form = {_UTC_TIME: "%y%m%d%H%M%SZ", _GENERALIZED_TIME: "%Y%m%d%H%M%SZ"}.get(tag)
    if form is None:
        raise ValueError("it has no time")
    moment = datetime.strptime(text.decode("ascii"), form).replace(tzinfo=UTC)
    # RFC 5280: two digits from 50 on are of the 20th century; Python draws the line at 69.
    return moment.replace(year=moment.year - 100) if tag == _UTC_TIME and moment.year >= 2050 else moment
