"""The argument PATHS of every command that reads logs: what it accepts is defined here once."""

import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

if TYPE_CHECKING:  # DuckDB and zstd are slow to import, and --help does not need them
    from feedback_analysis.reading.unpacked import Unpacked

LogPaths = Annotated[
    list[Path],
    Parameter(
        help="Logs, and folders that contain logs. Logs may end in .gz. "
        "Write - to read one log, in any file format, from standard input."
    ),
]


def opened(paths: Sequence[Path]) -> "AbstractContextManager[Unpacked]":
    """`paths` as files to read, which exist during the context. ValueError or OSError for gzip that cannot be decompressed."""
    from feedback_analysis.reading.unpacked import unpacked

    return unpacked(paths, None if sys.stdin is None else sys.stdin.buffer)
