"""Checks the head of a feedback request before its body is read, so that a sender without a valid key need not send the body."""

from dataclasses import dataclass

from coordinator.dialects.native_body import BodyForm
from coordinator.ingest_keys import IngestKey, IngestKeys
from feedback_wire.kinds import RecordKind
from feedback_wire.limits import BATCH_WIRE_BYTES
from feedback_wire.problem import Problem
from feedback_wire.routes import FORGOTTEN_HEADER, MESSAGES
from serving.request_head import Headers

HEAD_BYTES = 32 * 1024
"""Request line and headers together."""

HEADERS = 128
"""In one request, trailers included. A header of four bytes costs a hundred bytes while it is held."""

HEAD_END = b"\r\n\r\n"
KNOWN_HEADS = 4096
KNOWN_HEAD_BYTES = 1024
"""The head of an app has about 200 bytes. A full table takes at most a few megabytes."""

KINDS = {route.encode(): kind for kind, route in MESSAGES.items()}
"""The kind of messages that each path accepts."""

_JSON_TYPES = {b"", b"application/json", b"text/plain"}  # text/plain: what a browser's sendBeacon sends without a preflight
_LINE_TYPES = {b"application/x-ndjson", b"application/ndjson", b"application/jsonl"}


@dataclass(frozen=True, slots=True)
class FeedbackHead:
    """The head of a feedback request that may continue, with the key that it came with."""

    key: IngestKey
    form: BodyForm = BodyForm.JSON
    encoding: str = "identity"
    forwarded: str = ""
    """The value of the header in which a trusted proxy names the sender."""
    forgotten: int = 0
    expects_continue: bool = False
    kind: RecordKind = RecordKind.FEEDBACK
    """The kind of the messages, as the request's path states it."""


class HeadReader:
    """Reads request heads, and remembers heads byte for byte until the keys change.

    End hosts send the same head with every message. At the beginning of a request, equal bytes always parse to an equal head. So a
    head that was parsed and allowed once is not parsed again; that saves a third of the work for a message.
    """

    def __init__(self, keys: IngestKeys, *, proxy_header: str = "") -> None:
        """`proxy_header` is the header in which trusted proxies name the sender, in lower case; "" if no proxy is trusted."""
        self._keys = keys
        self._proxy_header = proxy_header.encode()
        self.known: dict[bytes, tuple[FeedbackHead, int]] = {}
        """Raw heads with their empty line; for each the parsed head and the length of its body."""

    def learn(self, data: bytes, headers: Headers, head: FeedbackHead) -> None:
        """Remember the head in `data` if that is exactly one request. `headers` and `head` belong to the last request in it.

        Two requests never count as one: the Content-Length of the second is less than everything that follows the first head.
        """
        end = data.find(HEAD_END) + len(HEAD_END)
        length = len(data) - end
        names = {name.lower(): value for name, value in headers}
        plain = not (head.forwarded or head.forgotten or head.expects_continue or b"transfer-encoding" in names)
        if plain and length and end <= KNOWN_HEAD_BYTES and names.get(b"content-length") == b"%d" % length:
            if len(self.known) >= KNOWN_HEADS:
                self.known.clear()
            self.known[data[:end]] = head, length

    def read(self, headers: Headers, kind: RecordKind = RecordKind.FEEDBACK) -> FeedbackHead:
        """The head in `headers` (names in any case) of a request with messages of this kind. Problem: 401, 413 or 415."""
        values: dict[bytes, bytes] = {}
        for name, value in headers:
            lower = name.lower()
            # Several lines of forwarded addresses mean the same as one joined line; of any other header the last line counts.
            values[lower] = b"%b,%b" % (values[lower], value) if lower == self._proxy_header and lower in values else value
        key = self._keys.find(values.get(b"authorization", b""))
        _check_length(values.get(b"content-length", b"0"), key.batch_bytes)
        return FeedbackHead(
            key=key,
            form=_form(values.get(b"content-type", b"")),
            encoding=_encoding(values.get(b"content-encoding", b"")),
            forwarded=values.get(self._proxy_header, b"").decode("latin-1"),
            forgotten=_count(values.get(FORGOTTEN_HEADER.lower().encode(), b"")),
            expects_continue=values.get(b"expect", b"").lower() == b"100-continue",
            kind=kind,
        )


def _check_length(value: bytes, most: int) -> None:
    if int(value) > most:  # the HTTP parser has checked that it is a number
        raise body_too_large(most)


def body_too_large(most: int = BATCH_WIRE_BYTES) -> Problem:
    return Problem(413, "body_too_large", f"a request's body may have {most} bytes; send smaller batches")


def head_too_large() -> Problem:
    return Problem(431, "head_too_large", f"request line and headers may have {HEAD_BYTES} bytes and {HEADERS} headers")


def _form(value: bytes) -> BodyForm:
    essence = value.partition(b";")[0].strip().lower()
    if essence in _JSON_TYPES:
        return BodyForm.JSON
    if essence in _LINE_TYPES:
        return BodyForm.LINES
    raise Problem(415, "unsupported_type", "send Content-Type application/json (one object or an array) or application/x-ndjson")


def _encoding(value: bytes) -> str:
    encoding = value.decode("latin-1").strip().lower() or "identity"
    if encoding == "x-gzip":  # RFC 9110, section 8.4.1.3
        return "gzip"
    if encoding not in ("identity", "gzip", "zstd"):
        raise Problem(415, "unsupported_encoding", "the body's Content-Encoding must be identity, gzip or zstd")
    return encoding


def _count(value: bytes) -> int:
    return int(value) if value.isdigit() and len(value) < 10 else 0
