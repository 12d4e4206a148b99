"""What the tests of netlab share: whether this machine can build labs, and small topologies."""

import json
from pathlib import Path

import pytest

from netlab import Topology, probe, read_topology

OFFER = probe()
needs_namespaces = pytest.mark.skipif(OFFER.namespaces is not None, reason=f"no network namespaces here: {OFFER.namespaces}")


def needs(part: str) -> pytest.MarkDecorator:
    """Skip where neither netem nor `part` is offered."""
    lacking = getattr(OFFER, part) and OFFER.netem
    return pytest.mark.skipif(bool(lacking), reason=f"neither netem ({OFFER.netem}) nor {part} ({getattr(OFFER, part)})")


def two_nodes(**shape: object) -> Topology:
    """`a` and `b` with one link, `a-b`."""
    return read_topology(json.dumps({"nodes": {"a": {}, "b": {}}, "links": [{"between": ["a", "b"], **shape}]}))


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))
