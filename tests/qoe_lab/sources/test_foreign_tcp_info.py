"""Series of TCP_INFO that M-Lab's servers recorded for strangers: they have the fields that we read, and behave as we assume.

They cannot be compared with our statistics of captures: no capture of the same archive is of one of these connections.
"""

import gzip
import json
import re
import tarfile
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from qoe_lab.dataset.json_values import JsonValues
from qoe_lab.dataset.session_rows import witness_row
from qoe_lab.sources.tcp_info import read_tcp_info

MLAB = Path(__file__).parents[4] / "shared" / "data" / "mlab"
pytestmark = pytest.mark.skipif(not MLAB.is_dir(), reason=f"{MLAB} is not on this machine")
CONNECTION = re.compile(r"ndt-\w+?_\d+(?:_unsafe)?_[0-9A-F]{16}")
NAMED_OTHERWISE = {"busy_us": "busytime"}


def _their_name(ours: str) -> str:
    return NAMED_OTHERWISE.get(ours, ours.removesuffix("_us").replace("_", ""))


@cache
def series() -> dict[str, list[dict[str, Any]]]:
    """The samples of each connection of the ndt7 results, with field names in lower case."""
    return {uuid: samples for text in _results() for uuid, samples in [_read(json.loads(text))] if samples}


def _results() -> Iterator[bytes]:
    for path in sorted((MLAB / "NDT7Result").glob("*.json")):
        yield path.read_bytes()
    with tarfile.open(MLAB / "ndt7-syd03.tgz") as archive:
        for member in archive:
            if (file := archive.extractfile(member)) is not None:
                yield gzip.decompress(file.read()) if member.name.endswith(".gz") else file.read()


def _read(result: dict[str, Any]) -> tuple[str, list[dict[str, Any]]]:
    measured = result.get("Download") or result.get("Upload") or {}
    samples = [each["TCPInfo"] for each in measured.get("ServerMeasurements") or [] if each.get("TCPInfo")]
    return str(measured.get("UUID")), [{name.lower(): value for name, value in each.items()} for each in samples]


def test_each_field_that_we_read_is_one_that_others_read():
    assert len(series()) > 50
    ours = {_their_name(name) for name in read_tcp_info(bytes(512))}
    for samples in series().values():
        assert ours - samples[-1].keys() == set()


def test_the_counters_only_grow_so_the_last_sample_is_that_of_the_connection():
    growing = ("totalretrans", "bytesacked", "bytesreceived", "segsout", "datasegsin", "bytesretrans")
    for samples in series().values():
        for before, after in pairwise(samples):
            assert all(before[name] <= after[name] for name in growing)
            assert after["minrtt"] <= after["rtt"]


def test_the_witness_of_a_session_sums_up_what_their_kernel_counted():
    samples = [
        {"peer_port": port, "total_retrans": each["totalretrans"], "unacked": each["unacked"], "rtt_us": each["rtt"]}
        for port, connection in enumerate(series().values())
        for each in connection
    ]
    row = witness_row([], (JsonValues(MLAB, each) for each in samples))
    assert row["server_retransmissions"] == sum(connection[-1]["totalretrans"] for connection in series().values()) > 1000
    assert row["server_rtt_ms"] == pytest.approx(sum(each["rtt_us"] for each in samples) / len(samples) / 1000)


def test_no_capture_of_the_archive_is_of_a_connection_with_a_series():
    captured = {match[0] for path in (MLAB / "PCAP").iterdir() if (match := CONNECTION.search(path.name))}
    with tarfile.open(next(MLAB.glob("*-tcpinfo-*.tgz"))) as archive:
        sampled = {match[0] for name in archive.getnames() if (match := CONNECTION.search(name))}
    assert len(captured) == 4
    assert len(sampled) > 300
    assert captured & (sampled | series().keys()) == set()
