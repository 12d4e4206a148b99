"""Whether a folder's disk makes things durable at present: the calls that the spool needs, made on a file of no importance."""

import os
from pathlib import Path

_NAME = "probe"


def probe(folder: Path) -> None:
    """Return if they succeed, OSError if one does not."""
    path = folder / _NAME
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        os.write(handle, b"\n")
        os.fdatasync(handle)
    finally:
        os.close(handle)
        path.unlink()
    directory = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
