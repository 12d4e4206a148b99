"""What is printed reaches every terminal, file and pipe, whatever the locale can encode.

A character that it cannot encode is written as JSON escapes it (`\\u7fbd`), so JSON stays JSON. A file name that is no valid text
is printed the same way.
"""

import codecs
import io
import json
import os
import sys

_AS_JSON = "swarmscope.as_json"


def print_everywhere() -> None:
    """Let no print to standard output or error fail because of a character."""
    codecs.register_error(_AS_JSON, _escaped)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_AS_JSON)


def print_data() -> None:
    """JSON and CSV for other programs follow: UTF-8 in a file or pipe, unless PYTHONIOENCODING asks for another encoding."""
    if isinstance(sys.stdout, io.TextIOWrapper) and not sys.stdout.isatty() and not os.environ.get("PYTHONIOENCODING"):
        sys.stdout.reconfigure(encoding="utf-8", errors=_AS_JSON)


def _escaped(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return json.dumps(error.object[error.start : error.end])[1:-1], error.end
