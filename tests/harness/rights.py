"""Takes the rights of root away, with which the permissions of files mean nothing."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

NOBODY = 65_534


@contextmanager
def without_rights_of_root() -> Iterator[None]:
    """For tests that root runs. Folders of pytest belong to one user alone: go into the folder first, and use relative paths."""
    if os.geteuid():
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
