"""HTTP client of one feedback server. It does not trust the server.

Every answer has a size limit and is checked before it is used. Redirects are refused, because the platform only fetches from
addresses that its operator configured. An answer that cannot be used raises `UnusableAnswer`, with a text for people.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import orjson
from yarl import URL

from feedback_wire import routes
from feedback_wire.catalogue import Catalogue, LogEntry
from feedback_wire.kinds import RecordKind
from feedback_wire.log_name import SERVER_NAME, LogName
from feedback_wire.problem import is_problem
from serving.tls import Tls

CATALOGUE_BYTES = 32 * 2**20
"""Limit of a catalogue without pages, from an older feedback server: half a year of minutes."""

PAGE_LOGS = 1000
"""Logs in one request: about 100 kB, which take 10 ms of the event loop."""

LOG_BYTES = 512 * 2**20
"""A larger log is not fetched: logs are verified in memory, and a feedback server begins a new part at 64 MiB."""

PIECE_BYTES = 4 * 2**20
"""A log is fetched in pieces of this size. Pieces that have arrived are kept when the next one fails."""

COMPLAINT_BYTES = 4096
"""A longer refusal is not from a feedback server."""

TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=15)
# The reasons of the feedback server. Any other 404 comes from a proxy in front of the server, or from a wrong address.
_GONE = ("no_such_log", "sealed")
# A server that is older than a kind of records takes the kind in the address for a log name.
_NO_SUCH_KIND = ("no_such_route", "bad_log_name")
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)", re.ASCII)


class UnusableAnswer(Exception):  # noqa: N818 - it describes a state of the server
    """An answer of a feedback server cannot be used; the text has the reason."""


class UnknownKind(UnusableAnswer):
    """The server does not know this kind of records: it is older than the kind."""


class Gone(UnusableAnswer):
    """The log does not exist under this name any more: it was sealed or has expired."""


@dataclass(frozen=True, slots=True)
class Skipped:
    """A catalogue entry that is not fetched, and the reason."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Listing:
    """A catalogue page: its usable entries, its ETag, and its unusable entries."""

    catalogue: Catalogue
    tag: str | None
    skipped: tuple[Skipped, ...] = ()
    last: LogName | None = None
    """The last log of the page, usable or not. The next page begins after it."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of a log's bytes, and the ETag of the log."""

    data: bytes
    tag: str | None


def checked_url(text: str) -> URL:
    """The base address of a feedback server; ValueError unless it is a plain http(s) address."""
    url = URL(text)
    if url.scheme not in {"http", "https"} or not url.host or url.user or url.query_string or url.fragment:
        raise ValueError(f"{text!r} is not the URL of a feedback server; use one such as http://127.0.0.1:8090")
    return url


@dataclass(frozen=True, slots=True)
class FeedbackServerClient:
    """Requests to one feedback server; TimeoutError and aiohttp.ClientError pass through."""

    session: aiohttp.ClientSession
    url: URL
    token: str = field(repr=False)
    tls: Tls | None = None
    """What verifies an https server; None for the system's authorities."""
    kind: RecordKind = RecordKind.FEEDBACK
    """The kind of the logs that are listed."""

    async def catalogue(
        self,
        *,
        after: LogName | None,
        wait_s: int = 0,
        unless: str | None = None,
        head: Callable[[Mapping[str, str]], None] = lambda _headers: None,
    ) -> Listing | None:
        """A catalogue page with the logs after `after`; None if its ETag is still `unless` after `wait_s` whole seconds.

        `head` is called with the headers when they arrive.
        """
        query = {"limit": str(PAGE_LOGS)} | ({} if after is None else {"after": str(after)})
        headers = {} if unless is None else {"If-None-Match": unless}
        if unless is not None:
            query["wait"] = str(wait_s)
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=TIMEOUT.sock_connect, sock_read=wait_s + 15)
        async with self._get(routes.logs_of(self.kind), query=query, headers=headers, timeout=timeout) as answer:
            head(answer.headers)
            if answer.status == 304 and unless is not None:
                return None
            await _expect(answer, 200, kind=self.kind)
            body = await _bounded(answer, CATALOGUE_BYTES)
            return _listing(body, answer.headers.get("ETag"), self.kind)

    async def latest(self) -> LogEntry | None:
        """The newest log; None without logs."""
        async with self._get(routes.latest_of(self.kind), headers={}) as answer:
            try:
                await _expect(answer, 200, kind=self.kind)
            except Gone:
                return None
            body = await _bounded(answer, COMPLAINT_BYTES)
        try:
            return LogEntry.from_json(orjson.loads(body))
        except ValueError as error:
            raise UnusableAnswer(f"the newest log cannot be read: {error}") from error

    async def piece(self, name: LogName, start: int, stop: int, *, tag: str | None = None) -> Piece:
        """The bytes [start, stop) of a log; UnusableAnswer if its ETag is not `tag` any more."""
        headers = {"Range": f"bytes={start}-{stop - 1}"} | ({} if tag is None else {"If-Range": tag})
        async with self._get(f"{routes.LOGS}/{name}", headers=headers) as answer:
            await _expect(answer, 206)
            _expect_range(answer, start, stop)
            data = await _bounded(answer, stop - start)
            if len(data) != stop - start:
                raise UnusableAnswer(f"{name}: {len(data)} bytes arrived instead of {stop - start}")
            return Piece(data, answer.headers.get("ETag"))

    def _get(
        self, path: str, *, query: dict[str, str] | None = None, headers: dict[str, str], timeout: aiohttp.ClientTimeout = TIMEOUT
    ) -> "aiohttp.client._RequestContextManager":
        # Identity: the mirror has the server's exact bytes.
        keyed = {"Accept-Encoding": "identity"} | ({"Authorization": routes.bearer(self.token)} if self.token else {})
        url = self.url / path.lstrip("/")
        verified_by = self.tls.link if self.tls is not None else True
        return self.session.get(url, params=query, headers=keyed | headers, timeout=timeout, allow_redirects=False, ssl=verified_by)


async def _expect(answer: aiohttp.ClientResponse, status: int, *, kind: RecordKind = RecordKind.FEEDBACK) -> None:
    if answer.status == status:
        return
    if answer.status in {401, 403}:
        raise UnusableAnswer(f"the server refuses the read token (HTTP {answer.status}); give the one it was started with")
    if answer.status == 304:
        raise UnusableAnswer("HTTP 304 (not modified) to a request without If-None-Match; check the proxy in front of the server")
    if 300 <= answer.status < 400:
        raise UnusableAnswer(f"the server redirects (HTTP {answer.status}); give the address of the feedback server itself")
    problem = await _problem(answer)
    unknown = "this is not an answer of a feedback server; check the address, and any proxy in front of the server"
    complaint = str(problem.get("detail"))[:200] if problem else unknown
    if problem.get("reason") in _GONE:
        raise Gone(complaint)
    if kind is not RecordKind.FEEDBACK and problem.get("reason") in _NO_SUCH_KIND:
        raise UnknownKind(f"this feedback server is older than {kind} records")
    raise UnusableAnswer(f"HTTP {answer.status} where {status} was expected: {complaint}")


async def _problem(answer: aiohttp.ClientResponse) -> dict[str, Any]:
    """The problem document of a refusal; empty if the answer is not from a feedback server."""
    body = bytearray()
    async for chunk in answer.content.iter_any():
        body += chunk
        if len(body) > COMPLAINT_BYTES:
            return {}
    try:
        problem = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    known = isinstance(problem, dict) and is_problem(problem, status=answer.status, content_type=answer.content_type)
    return problem if known else {}


def _expect_range(answer: aiohttp.ClientResponse, start: int, stop: int) -> None:
    sent = answer.headers.get("Content-Range", "")
    match = _RANGE.fullmatch(sent)
    if match is None or (int(match[1]), int(match[2])) != (start, stop - 1):
        raise UnusableAnswer(f"the server sent {sent[:80]!r} where bytes {start}-{stop - 1} were asked for")


async def _bounded(answer: aiohttp.ClientResponse, limit: int) -> bytes:
    """The body, of at most `limit` bytes."""
    if answer.headers.get("Content-Encoding", "identity") != "identity":
        raise UnusableAnswer("the server compressed an answer that was requested without compression")
    body = bytearray()
    try:
        async for chunk in answer.content.iter_any():
            body += chunk
            if len(body) > limit:
                raise UnusableAnswer(f"the server sent more than the {limit} bytes that were asked for")
    except aiohttp.ClientPayloadError as error:
        raise UnusableAnswer(f"the answer broke off after {len(body)} bytes") from error
    return bytes(body)


def _listing(body: bytes, tag: str | None, kind: RecordKind) -> Listing:
    """A catalogue page. An unusable entry does not hide the others."""
    try:
        match orjson.loads(body):
            case {"server": str(server), "logs": list(logs), **rest}:
                pass
            case _:
                raise ValueError("a catalogue is an object with a 'server' and a list of 'logs'")
    except ValueError as error:
        raise UnusableAnswer(f"the catalogue cannot be read: {error}") from error
    if SERVER_NAME.fullmatch(server) is None:
        raise UnusableAnswer(f"the server's name is {server[:40]!r}, which is not a valid name")
    entries = [_entry(log, kind) for log in logs]
    usable = tuple(entry for entry in entries if isinstance(entry, LogEntry))
    skipped = tuple(entry for entry in entries if isinstance(entry, Skipped))
    last = max(filter(None, map(_name, entries)), key=lambda name: name.stem, default=None)
    more = rest.get("more") is True and last is not None
    return Listing(Catalogue(server=server, logs=usable, more=more), tag, skipped, last)


def _name(entry: LogEntry | Skipped) -> LogName | None:
    try:
        return entry.name if isinstance(entry, LogEntry) else LogName.parse(entry.name)
    except ValueError:
        return None


def _entry(log: object, kind: RecordKind) -> LogEntry | Skipped:
    try:
        entry = LogEntry.from_json(log)
    except ValueError:
        return Skipped(str(log)[:100], "is not a log that this version knows")
    if entry.name.kind is not kind:
        return Skipped(str(entry.name), f"is no log of {kind} records")
    if entry.bytes > LOG_BYTES:
        return Skipped(str(entry.name), f"has more than {LOG_BYTES // 2**20} MiB")
    if entry.sealed and not entry.bytes:
        return Skipped(str(entry.name), "is empty")
    return entry
