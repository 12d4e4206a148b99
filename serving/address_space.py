"""Checks the limit of address space (`ulimit -v`, RLIMIT_AS), because libraries crash under a low one.

A command checks it before it imports them. A monitoring platform checks it again while it runs.
"""

import resource

MIB = 1024 * 1024

OWN_MIB = 1536
"""Address space of DuckDB, Arrow, NumPy and their threads before the first record. Most of it is reserved and never used."""


BASE_MIB = 256
"""Address space that each command needs to be imported.

With less, imports fail in many ways: `hashlib` logs the failure and continues.
"""


def require_base() -> None:
    """MemoryError if the limit is too low for the import of any command."""
    _require("swarmscope", BASE_MIB)


def require_address_space(command: str, memory_mib: int = 0) -> None:
    """MemoryError if the limit is too low for `command`, which needs `memory_mib` in addition for its data."""
    _require(command, OWN_MIB + memory_mib, memory_mib)


def _require(command: str, needed: int, memory_mib: int = 0) -> None:
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit == resource.RLIM_INFINITY or limit >= needed * MIB:
        return
    kept, hint = (f" ({memory_mib:,} of them are --memory-mib)", ", or lower --memory-mib") if memory_mib else ("", "")
    raise MemoryError(
        f"the limit of address space (ulimit -v) is {limit // MIB:,} MiB, and {command} needs {needed:,} MiB{kept}; "
        f"raise the limit{hint}"
    )
