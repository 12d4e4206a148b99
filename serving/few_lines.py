"""Limits the lines that one file can cause: a damaged or hostile file may have a million damaged frames."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

MOST_LINES = 20


@contextmanager
def few_lines(write: Callable[[str], object], others: str) -> Iterator[Callable[[str], None]]:
    """Yields a function that writes the first MOST_LINES lines. The rest is one line at the end, such as `7 more <others>`."""
    count = 0

    def add(line: str) -> None:
        nonlocal count
        count += 1
        if count <= MOST_LINES:
            write(line)

    yield add
    if count > MOST_LINES:
        write(f"{count - MOST_LINES:,} more {others}")
