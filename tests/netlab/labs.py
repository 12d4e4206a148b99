"""Shared by the tests of netlab: whether this machine can build labs, and small topologies."""

import json
import os
import shutil
from pathlib import Path

import pytest

from netlab import Topology, probe, read_topology

OFFER = probe()
needs_namespaces = pytest.mark.skipif(OFFER.namespaces is not None, reason=f"no network namespaces here: {OFFER.namespaces}")


def needs(part: str) -> pytest.MarkDecorator:
    """Skip where neither netem nor `part` is offered."""
    lacking = getattr(OFFER, part) and OFFER.netem
    return pytest.mark.skipif(bool(lacking), reason=f"neither netem ({OFFER.netem}) nor {part} ({getattr(OFFER, part)})")


def without_rights() -> list[str]:
    """A command that starts another one without the rights to build labs; empty if the tests have none."""
    if os.geteuid() != 0:
        return []
    if shutil.which("setpriv") is None:
        pytest.skip("setpriv takes the rights of a process; it is not installed")
    rights = ",".join(f"-{each}" for each in ("sys_admin", "net_admin", "net_raw", "sys_ptrace"))
    return ["setpriv", f"--bounding-set={rights}", f"--inh-caps={rights}"]


def two_nodes(**shape: object) -> Topology:
    """`a` and `b` with one link, `a-b`."""
    return read_topology(json.dumps({"nodes": {"a": {}, "b": {}}, "links": [{"between": ["a", "b"], **shape}]}))


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))
