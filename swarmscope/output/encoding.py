"""Prints every text in every locale.

A character that the locale cannot encode is printed as a JSON escape (`\\u7fbd`), so JSON stays valid. The same applies to file
names that are not valid text.
"""

import codecs
import io
import json
import os
import sys

_AS_JSON = "swarmscope.as_json"


def print_everywhere() -> None:
    """Escape characters that standard output or standard error cannot encode."""
    codecs.register_error(_AS_JSON, _escaped)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_AS_JSON)


def print_data() -> None:
    """Use UTF-8 for JSON and CSV in files and pipes, unless PYTHONIOENCODING sets another encoding."""
    if isinstance(sys.stdout, io.TextIOWrapper) and not sys.stdout.isatty() and not os.environ.get("PYTHONIOENCODING"):
        sys.stdout.reconfigure(encoding="utf-8", errors=_AS_JSON)


def _escaped(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return json.dumps(error.object[error.start : error.end])[1:-1], error.end
