"""Captures of other projects, compared with what three other programs say about them.

The flows are compared with those of nDPI, which are stored beside the captures. TCP statistics are compared with tcptrace and
tshark, which are run as programs. Where the programs differ from us by definition, the test states the difference.
"""

import csv
import gzip
import ipaddress
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from qoe_lab.traffic import CaptureReader, Flow, FlowTable, SlotCounter, TcpStatistics

DATA = Path(__file__).parents[4] / "shared" / "data"
CAPTURES, NDT = DATA / "captures", DATA / "mlab" / "PCAP"
WITH_FLOWS = sorted(path.with_suffix("").name for path in CAPTURES.glob("*.out"))
TCPTRACE, TSHARK = shutil.which("tcptrace"), shutil.which("tshark")

pytestmark = pytest.mark.skipif(not (CAPTURES.is_dir() and NDT.is_dir()), reason=f"{DATA} is not on this machine")
needs_tcptrace = pytest.mark.skipif(TCPTRACE is None, reason="tcptrace is not installed (apt-get install tcptrace)")
needs_tshark = pytest.mark.skipif(TSHARK is None, reason="tshark is not installed (apt-get install tshark)")

Side = tuple[str, int]
"""Address and port."""


def flows_in(path: Path) -> list[Flow]:
    table = FlowTable()
    reader = CaptureReader(path)
    assert all(table.add(packet) for packet in reader)
    assert reader.damage is None
    return table.flows()


# nDPI


class Counted(NamedTuple):
    """A flow as nDPI and we count it. nDPI's bytes are those of whole frames."""

    protocol: str
    client: Side
    server: Side
    up_packets: int
    up_bytes: int
    down_packets: int
    down_bytes: int


LINE = re.compile(
    r"\t\d+\t(?P<protocol>\w+) (?P<client>\S+) <?-> (?P<server>\S+) .*"
    r"\[(?P<up_packets>\d+) pkts/(?P<up_bytes>\d+) bytes <?-> (?P<down_packets>\d+) pkts/(?P<down_bytes>\d+) bytes\]"
)


def side(text: str) -> Side:
    """Of 10.0.0.1:80, [2001:db8::1]:80 or 10.0.0.1."""
    address, port = (
        re.fullmatch(r"\[?([0-9a-fA-F.:]+?)\]?(?::(\d+))?", text).groups() if "[" in text else (*text.split(":"), "0")[:2]
    )
    return str(ipaddress.ip_address(address)), int(port or 0)


def flows_of_ndpi(path: Path) -> Iterator[Counted]:
    for line in path.with_suffix(path.suffix + ".out").read_text("utf-8").splitlines():
        if found := LINE.match(line):
            counts = [int(found[name]) for name in ("up_packets", "up_bytes", "down_packets", "down_bytes")]
            yield Counted(found["protocol"].lower(), side(found["client"]), side(found["server"]), *counts)


def counted(flow: Flow) -> Counted:
    client, server = (flow.client, flow.client_port), (flow.server, flow.server_port)
    return Counted(
        flow.protocol, client, server, flow.up.packets, flow.up.frame_bytes, flow.down.packets, flow.down.frame_bytes
    )  # fmt: skip


GTP_PORT = 2152
"""nDPI looks into GTP tunnels of mobile networks. We count the tunnel, which has the same packets and bytes."""


@pytest.mark.parametrize("name", WITH_FLOWS)
def test_the_flows_of_a_capture_are_those_of_ndpi(name):
    theirs, ours = Counter(flows_of_ndpi(CAPTURES / name)), Counter(counted(flow) for flow in flows_in(CAPTURES / name))
    assert theirs
    only_theirs, only_ours = theirs - ours, ours - theirs
    assert all(GTP_PORT in (flow.client[1], flow.server[1]) for flow in only_ours)
    assert Counter(flow[3:] for flow in only_theirs) == Counter(flow[3:] for flow in only_ours)
    assert (len(only_ours) > 0) == (name == "rtmp.pcap")


def test_all_flows_of_ndpi_were_read():
    assert len(WITH_FLOWS) >= 16
    assert sum(len(list(flows_of_ndpi(CAPTURES / name))) for name in WITH_FLOWS) == 321


def test_packets_that_contradict_themselves_belong_to_no_flow():
    """Each claims to be longer than its frame; the kernel of a receiver drops such packets."""
    reader = CaptureReader(CAPTURES / "badpackets.pcap")
    assert list(reader) == []
    assert (reader.counts["frames"], reader.counts["malformed"], reader.damage) == (93, 93, None)


def test_a_real_flow_of_quic_has_requests_and_chunks():
    """Its client sends 35 to 41 bytes to acknowledge, and 120 and more to request; first a page, then many small pictures."""
    slots = SlotCounter()
    reader = CaptureReader(CAPTURES / "youtube_quic.pcap")
    rows = [slot.row() for packet in reader for slot in slots.add(packet)]
    assert [row["total_requests"] for row in rows] == [5, 6, 27]  # the file ends in the fourth second
    assert [row["chunks"] for row in rows] == [0, 1, 0]
    assert (rows[1]["chunk_bytes"], rows[1]["chunk_1_ms"], rows[1]["rtt_avg_ms"]) == (93_195, pytest.approx(456, abs=1), None)


# tcptrace

EQUAL = {
    "total_packets": "packets",
    "ack_pkts_sent": "ack_sent",
    "pure_acks_sent": "pure_ack_sent",
    "unique_bytes_sent": "unique_bytes",
    "actual_data_pkts": "data_pkts",
    "actual_data_bytes": "data_bytes",
    "rexmt_data_pkts": "rexmit_pkts",
    "outoforder_pkts": "out_seq_pkts",
    "max_segm_size": "max_seg_size_bytes",
    "min_segm_size": "min_seg_size_bytes",
    "mss_requested": "mss_bytes",
    "zero_win_adv": "win_zero",
    "sacks_sent": "sack_sent",
}
MANY = 500


def unpacked(path: Path, folder: Path) -> Path:
    if path.suffix != ".gz":
        return path
    target = folder / path.stem
    target.write_bytes(gzip.decompress(path.read_bytes()))
    return target


def connections_of_tcptrace(path: Path) -> Iterator[tuple[Side, Side, dict[str, str]]]:
    run = subprocess.run([TCPTRACE, "-nlr", "--csv", path], capture_output=True, text=True, check=True, timeout=60)
    lines = [line for line in run.stdout.splitlines() if line and not line.startswith("#")]
    for row in csv.DictReader(lines, skipinitialspace=True):
        values = {key.strip(): value.strip() for key, value in row.items() if key}
        one, other = ((tcptrace_address(values[f"host_{name}"]), int(values[f"port_{name}"])) for name in "ab")
        yield one, other, values


def tcptrace_address(text: str) -> str:
    """tcptrace writes IPv6 addresses with leading zeros, and with `::` for any number of them, also for one."""
    return str(ipaddress.ip_address(text))


def sides_of(path: Path) -> dict[tuple[Side, Side], TcpStatistics]:
    """The statistics of each direction, by its sender and receiver."""
    found = {}
    for flow in flows_in(path):
        if flow.up.tcp is not None and flow.down.tcp is not None:
            client, server = (flow.client, flow.client_port), (flow.server, flow.server_port)
            found[client, server], found[server, client] = flow.up.tcp, flow.down.tcp
    return found


OF_TCPTRACE = [CAPTURES / name for name in ("netflix.pcap", "1kxun.pcap", "http_ipv6.pcap", "zattoo.pcap")] + sorted(
    NDT.glob("*.gz")
)


@needs_tcptrace
@pytest.mark.parametrize("path", OF_TCPTRACE, ids=lambda path: path.name[-20:])
def test_tcp_statistics_are_those_of_tcptrace(path, tmp_path):
    path = unpacked(path, tmp_path)
    ours = sides_of(path)
    directions = 0
    for one, other, row in connections_of_tcptrace(path):
        for name, ends in (("a2b", (one, other)), ("b2a", (other, one))):
            statistics = ours.pop(ends)
            theirs = {column: int(row[f"{column}_{name}"]) for column in EQUAL}
            assert theirs == {column: getattr(statistics, field) or 0 for column, field in EQUAL.items()}
            where_tcptrace_differs(statistics, {key.removesuffix(f"_{name}"): row[key] for key in row if key.endswith(name)})
            directions += 1
    assert not ours
    assert directions


def where_tcptrace_differs(ours: TcpStatistics, theirs: dict[str, str]) -> None:
    # tcptrace counts SYN and FIN as bytes.
    assert 0 <= int(theirs["rexmt_data_bytes"]) - ours.rexmit_bytes <= ours.syn_count + ours.fin_count
    # It does not scale windows without a handshake, and takes those of SYN for windows where nothing is scaled.
    if ours.win_max_bytes is not None and int(theirs["adv_wind_scale"]):
        assert int(theirs["max_win_adv"]) == ours.win_max_bytes
    if ours.initial_cwin_bytes is not None:
        assert int(theirs["initial_window_bytes"]) == ours.initial_cwin_bytes
    # It takes a round trip only where an acknowledgement ends exactly behind a segment, so it has fewer, and those of SYN and FIN.
    if int(theirs["RTT_samples"]) > MANY:
        assert float(theirs["RTT_min"]) == pytest.approx(ours.rtt_min_ms, abs=0.06)
        assert float(theirs["RTT_max"]) == pytest.approx(ours.rtt_max_ms, abs=0.06)
        assert float(theirs["RTT_avg"]) == pytest.approx(ours.rtt_avg_ms, rel=0.3)


# tshark

MARKS = ("retransmission", "out_of_order", "zero_window")


def marks_of_tshark(path: Path) -> Counter[tuple[int, str]]:
    """How often tshark marks segments, by the port of the sender. A fast retransmission also has the mark of a retransmission."""
    fields = ["tcp.srcport", *(f"tcp.analysis.{mark}" for mark in MARKS)]
    arguments = [argument for field in fields for argument in ("-e", field)]
    run = subprocess.run([TSHARK, "-r", path, "-T", "fields", *arguments], capture_output=True, text=True, check=True, timeout=120)
    marks: Counter[tuple[int, str]] = Counter()
    for line in run.stdout.splitlines():
        port, *found = line.split("\t")
        marks.update((int(port), mark) for mark, value in zip(MARKS, found, strict=True) if value)
    return marks


@needs_tshark
@pytest.mark.parametrize("name", ["121C1A0", "C2DA9", "C2DFE"])
def test_retransmissions_and_zero_windows_are_those_of_tshark(name, tmp_path):
    """tshark calls a repetition within 3 ms out of order, and what fills a gap later a retransmission; their sum is equal."""
    [packed] = NDT.glob(f"*{name}.pcap.gz")
    path = unpacked(packed, tmp_path)
    marks = marks_of_tshark(path)
    ours = sides_of(path)
    assert any(side.rexmit_pkts or side.win_zero for side in ours.values())
    for ((_, port), _), statistics in ours.items():
        assert marks[port, "retransmission"] + marks[port, "out_of_order"] == statistics.rexmit_pkts + statistics.out_seq_pkts
        assert marks[port, "zero_window"] == statistics.win_zero
