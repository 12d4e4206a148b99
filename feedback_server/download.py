"""Downloads of whole logs and of parts (RFC 9110: Range, If-Range, ETag).

An open journal is read only up to its durable length. Its ETag is strong, so it changes as the journal grows. A client that follows
a journal therefore requests ranges without If-Range: durable bytes never change.
"""

import asyncio
import logging
import os
import re
from collections.abc import AsyncIterator
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass
from io import FileIO

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from feedback_server.counters import Counters
from feedback_server.stores.data_folder import DataFolder
from feedback_wire.catalogue import LogEntry
from feedback_wire.problem import Problem
from feedback_wire.routes import LOG

log = logging.getLogger(__name__)

_CHUNK_BYTES = 256 * 1024
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)


@dataclass(frozen=True, slots=True)
class ByteRange:
    """The bytes from `begin` up to, not including, `end`."""

    begin: int
    end: int


def wanted_range(header: str | None, size: int) -> ByteRange | None:
    """The range that a Range header requests of `size` bytes; None for the whole log. Problem 416 if the range is empty.

    Several ranges, and other units than bytes, get the whole log, as RFC 9110 section 14.2 allows.
    """
    match = _RANGE.fullmatch(header.replace(" ", "")) if header else None
    if match is None or match[0] == "bytes=-":
        return None
    first, last = match.groups()
    if not first:
        wanted = ByteRange(max(0, size - int(last)), size)
    else:
        wanted = ByteRange(int(first), min(int(last) + 1, size) if last else size)
        if last and int(last) < int(first):
            return None
    if wanted.begin >= wanted.end:
        raise Problem(416, "no_such_range", f"the log has {size} bytes; ask for a range that begins before its end")
    return wanted


def answer(request: Request, folder: DataFolder, entry: LogEntry, counters: Counters, readers: Executor) -> Response:
    """The response to GET or HEAD of one log. FileNotFoundError if the log has just been removed."""
    etag = _etag(folder, entry)
    headers = {"etag": etag, "accept-ranges": "bytes", "cache-control": "private, no-cache"}
    if is_named(etag, request.headers.get("if-none-match")):
        return Response(status_code=304, headers=headers)
    current = request.headers.get("if-range") in (None, etag)
    part = wanted_range(request.headers.get("range") if current else None, entry.bytes)
    status, wanted = (206, part) if part else (200, ByteRange(0, entry.bytes))
    headers["content-length"] = str(wanted.end - wanted.begin)
    if part:
        headers["content-range"] = f"bytes {part.begin}-{part.end - 1}/{entry.bytes}"
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers, media_type=LOG)
    counters.downloads += 1
    counters.downloaded_bytes += wanted.end - wanted.begin
    chunks = _chunks(folder.reading(str(entry.name)), wanted, entry, counters, readers)
    return _Download(chunks, status_code=status, headers=headers, media_type=LOG)


def is_named(etag: str, header: str | None) -> bool:
    """Whether an If-None-Match header names `etag`."""
    return header is not None and (header.strip() == "*" or etag in (tag.strip().removeprefix("W/") for tag in header.split(",")))


def _etag(folder: DataFolder, entry: LogEntry) -> str:
    """A sealed file never changes, so the time of its last write and its length identify its bytes."""
    return f'"{folder.written_ns(str(entry.name)) if entry.sealed else 0:x}-{entry.bytes:x}"'


class _CutOffError(Exception):
    """The rest of a log cannot be read. The connection ends before the announced length, so the client notices."""


class _Download(StreamingResponse):
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with suppress(_CutOffError):
            await super().__call__(scope, receive, send)


async def _chunks(file: FileIO, wanted: ByteRange, entry: LogEntry, counters: Counters, readers: Executor) -> AsyncIterator[bytes]:
    loop = asyncio.get_running_loop()
    with file:
        at = wanted.begin
        while at < wanted.end:
            try:
                length = min(_CHUNK_BYTES, wanted.end - at)
                chunk = await loop.run_in_executor(readers, os.pread, file.fileno(), length, at)
            except OSError as error:
                raise _cut_off(counters, f"{entry.name} cannot be read from byte {at} on: {error.strerror}") from None
            if not chunk:
                raise _cut_off(counters, f"{entry.name} ends at byte {at}, but had {wanted.end} bytes when it was written")
            yield chunk
            at += len(chunk)


def _cut_off(counters: Counters, why: str) -> _CutOffError:
    counters.download_errors += 1
    log.error("a download is incomplete: %s", why)
    return _CutOffError(why)
