"""How a benchmark states its goals beside its numbers."""

import os
from collections.abc import Mapping


def verdict(**values: tuple[float, float]) -> str:
    """`met`, or the names of the values that are above their goals. Each argument is a value and its largest allowed value."""
    missed = [name.replace("_", " ") for name, (value, most) in values.items() if value > most]
    return f"missed: {', '.join(missed)}" if missed else "met"


def heading(columns: Mapping[str, int], *, first: str = "", first_width: int = 0) -> str:
    """The names of the columns, each in its width."""
    return f"{first:<{first_width}}" + "".join(f"{name:>{width}}" for name, width in columns.items())


def load() -> str:
    """The load of the machine as text: figures of a busy machine say little about the program."""
    return f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
