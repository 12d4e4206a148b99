"""The scripts and styles of a page, joined into few files that are compressed once and served from memory.

A visitor without a cache needs all of them before the first picture. A request for each file, which was compressed each time, took
the event loop longer than the page itself.
"""

import gzip
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tornado.web import HTTPError, RequestHandler

_TYPES = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8"}
_CACHED_S = 10 * 365 * 86_400
"""Browsers may cache a file without a limit, because its name changes with its content."""


@dataclass(frozen=True, slots=True)
class JoinedFile:
    content_type: str
    content: bytes
    compressed: bytes


_files: dict[str, JoinedFile] = {}
"""By name. Only our own templates ask for files to be joined, so there are a few of each page."""


@cache
def joined(paths: Sequence[Path]) -> str:
    """The address of a file that has the content of the files at `paths`, all scripts or all styles, in this order."""
    content = b"\n".join(path.read_bytes() for path in paths)
    suffix = paths[0].suffix
    name = hashlib.sha256(content).hexdigest()[:20] + suffix
    _files[name] = JoinedFile(_TYPES[suffix], content, gzip.compress(content, mtime=0))
    return f"assets/joined/{name}"


class JoinedFileHandler(RequestHandler):
    """GET and HEAD of a joined file; 404 for a name that no page has."""

    def get(self, name: str) -> None:
        file = _files.get(name)
        if file is None:
            raise HTTPError(404)
        self.set_header("Content-Type", file.content_type)
        self.set_header("Cache-Control", f"public, max-age={_CACHED_S}, immutable")
        if "gzip" in self.request.headers.get("Accept-Encoding", ""):
            self.set_header("Content-Encoding", "gzip")
            self.finish(file.compressed)
        else:
            self.finish(file.content)

    def head(self, name: str) -> None:
        self.get(name)
