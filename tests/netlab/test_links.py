"""What a link does to packets, measured: by the counters of the kernel and by time stamps of captured frames."""

import json
import math
import socket
import struct
from contextlib import suppress
from pathlib import Path

import pytest

from netlab import CannotBuildError, Lab, Offer, TopologyError, read_capture, read_topology
from netlab.shaping import netem_parameters, tbf_parameters
from netlab.topology import Shape
from tests.harness.waiting import eventually
from tests.netlab.labs import OFFER, needs, needs_namespaces, two_nodes

PAYLOAD_BYTES = 1000
FRAME_BYTES = 14 + 20 + 8 + PAYLOAD_BYTES
SO_SNDBUFFORCE = 32
PORT = 5000

pytestmark = needs_namespaces


def send(lab: Lab, datagrams: int, *, start: str = "a", target: str = "b") -> None:
    """Numbered datagrams, as fast as the socket takes them."""
    with lab.socket(start) as sender:
        sender.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, 64 << 20)
        for number in range(datagrams):
            sender.sendto(struct.pack("!I", number).ljust(PAYLOAD_BYTES, b"."), (lab.address(target), PORT))


def receiver(lab: Lab, node: str = "b") -> socket.socket:
    """Without it the node would answer each datagram with an ICMP error."""
    bound = lab.socket(node)
    bound.bind((lab.address(node), PORT))
    return bound


def arrived(lab: Lab, node: str = "b") -> int:
    return lab.counters(node, "a-b").received_packets


def times(path: Path) -> dict[int, int]:
    """When each numbered datagram passed, in ns."""
    return {struct.unpack_from("!I", frame.header, 42)[0]: frame.time_ns for frame in read_capture(path)}


@needs("tbf")
@pytest.mark.parametrize("rate_kbps", [2_000, 20_000])
def test_a_link_has_the_rate_of_its_shape(rate_kbps: int, tmp_path: Path):
    with Lab(two_nodes(rate_kbps=rate_kbps, queue_ms=5000)) as lab, receiver(lab):
        measured_kbps = 0.0
        for attempt in range(5):  # a busy machine may send too late once, and never too fast
            measured_kbps = measured_rate_kbps(lab, rate_kbps, tmp_path / f"{attempt}.pcap")
            print(f"asked {rate_kbps} kbit/s, measured {measured_kbps:.0f}")
            assert measured_kbps < rate_kbps * 1.05
            if measured_kbps > rate_kbps * 0.95:
                return
    pytest.fail(f"asked {rate_kbps} kbit/s, measured {measured_kbps:.0f} at best")


def measured_rate_kbps(lab: Lab, rate_kbps: int, path: Path) -> float:
    """What half a second's worth of datagrams takes to arrive, by the kernel's time stamps."""
    count = rate_kbps * 1000 // 2 // (8 * FRAME_BYTES)
    before = arrived(lab)
    with lab.capture("b", "a-b", path, header_bytes=46) as capture:
        send(lab, count)
        eventually(lambda: arrived(lab) >= before + count)
    assert capture.overflowed == 0
    passed = list(times(path).values())
    first = tbf_parameters(Shape(rate_kbps=rate_kbps))["burst"] // FRAME_BYTES + 1  # what comes before is the burst
    return (len(passed) - 1 - first) * FRAME_BYTES * 8 / ((passed[-1] - passed[first]) / 1e6)


@needs("tbf")
def test_a_full_queue_drops_packets_and_counts_them():
    with Lab(two_nodes(rate_kbps=800, queue_ms=100)) as lab, receiver(lab):
        send(lab, 100)
        eventually(lambda: arrived(lab) + lab.counters("a", "a-b").queue_dropped >= 100)
        # 100 ms at 800 kbit/s are 9 frames; the burst takes 2 more, and some leave while the others are sent.
        assert 9 <= arrived(lab) < 100
        assert lab.counters("a", "a-b").queue_dropped == 100 - arrived(lab)


@needs("packet_sockets")
def test_each_packet_is_delayed_by_the_delay_of_its_direction_and_keeps_its_place(tmp_path: Path):
    with Lab(two_nodes(delay_ms=20, jitter_ms=5, back={"delay_ms": 40, "jitter_ms": 0})) as lab:
        for start, target, least_ms, most_ms in (("a", "b", 15, 25), ("b", "a", 40, 40)):
            for _ in range(20):  # a busy machine may delay a whole burst, and not every one
                delays_ms = measured_delays_ms(lab, start, target, tmp_path)
                print(f"{start} to {target}: {min(delays_ms):.2f} to {max(delays_ms):.2f} ms")
                assert min(delays_ms) >= least_ms
                if min(delays_ms) < most_ms + 10:
                    break
            else:
                pytest.fail(f"{start} to {target}: no packet of any burst was delayed by less than {most_ms + 10} ms")
        assert lab.delayer_overflowed() == 0


def measured_delays_ms(lab: Lab, start: str, target: str, folder: Path) -> list[float]:
    """Of each packet of a burst, by the kernel's time stamps at both ends; they arrive in their order."""
    ends = {node: folder / f"{start}-{node}.pcap" for node in (start, target)}
    before = arrived(lab, target)
    with receiver(lab, target), lab.capture(start, "a-b", ends[start]), lab.capture(target, "a-b", ends[target]):
        send(lab, 50, start=start, target=target)
        eventually(lambda: arrived(lab, target) >= before + 50)
    sent, received = times(ends[start]), times(ends[target])
    assert list(received) == list(range(50))
    return [(received[number] - sent[number]) / 1e6 for number in received]


@needs("packet_sockets")
def test_the_delay_of_a_running_link_can_change(tmp_path: Path):
    with Lab(two_nodes(delay_ms=1)) as lab, receiver(lab):
        lab.reshape("a-b", delay_ms=60)
        with lab.capture("a", "a-b", tmp_path / "a.pcap"), lab.capture("b", "a-b", tmp_path / "b.pcap"):
            send(lab, 5)
            eventually(lambda: arrived(lab) >= 5)
    sent, received = times(tmp_path / "a.pcap"), times(tmp_path / "b.pcap")
    assert min(received[number] - sent[number] for number in range(5)) >= 60e6


@needs("tbf")
def test_tcp_continues_after_a_rate_falls_while_its_segments_are_queued():
    """A queued packet that is larger than the burst of the new rate would block the link."""
    with (
        Lab(two_nodes(rate_kbps=5000, queue_ms=200)) as lab,
        lab.socket("b", kind=socket.SOCK_STREAM) as listening,
        lab.socket("a", kind=socket.SOCK_STREAM) as sender,
    ):
        listening.bind((lab.address("b"), 0))
        listening.listen()
        sender.connect(listening.getsockname())
        sender.setblocking(False)
        receiving, _ = listening.accept()
        with receiving:
            for falls in range(1, 4):
                lab.reshape("a-b", rate_kbps=5000)
                pumped(sender, receiving, 150_000 * falls)
                lab.reshape("a-b", rate_kbps=400)
                pumped(sender, receiving, 40_000)


def pumped(sender: socket.socket, receiving: socket.socket, size: int) -> None:
    """Keep the sender's buffer full until so many bytes have arrived."""
    receiving.setblocking(False)
    got = 0

    def arrives() -> bool:
        nonlocal got
        with suppress(BlockingIOError):
            sender.send(bytes(100_000))
        with suppress(BlockingIOError):
            got += len(receiving.recv(1 << 20))
        return got >= size

    eventually(arrives, f"{size} bytes", within_s=20, every_s=0.01)


@needs("drop_filter")
@pytest.mark.parametrize("loss", [0.05, 0.2])
def test_loss_lies_within_the_binomial_interval_and_is_counted(loss: float):
    count = 5000
    with Lab(two_nodes(loss=loss)) as lab, receiver(lab):
        send(lab, count)
        eventually(lambda: arrived(lab) + lab.counters("a", "a-b").filter_dropped >= count)
        lost = count - arrived(lab)
    print(f"asked {loss:.0%}, lost {lost} of {count}")
    # Five standard deviations: one run in two million fails by chance.
    assert abs(lost - loss * count) <= 5 * math.sqrt(count * loss * (1 - loss))


@needs("drop_filter")
def test_a_link_that_is_cut_passes_nothing_until_it_is_healed():
    with Lab(two_nodes()) as lab, receiver(lab):
        send(lab, 10)
        eventually(lambda: arrived(lab) == 10)
        lab.cut("a-b")
        send(lab, 10)
        eventually(lambda: lab.counters("a", "a-b").filter_dropped == 10)
        assert arrived(lab) == 10
        lab.heal("a-b")
        send(lab, 10)
        eventually(lambda: arrived(lab) == 20)


@needs("drop_filter")
def test_a_cut_link_stays_cut_when_its_shape_changes():
    with Lab(two_nodes()) as lab, receiver(lab):
        lab.cut("a-b")
        lab.reshape("a-b", loss=0.0, queue_ms=20.0)
        send(lab, 10)
        assert arrived(lab) == 0


def test_routers_forward_between_networks_and_hosts_do_not():
    links = [{"between": ["a", "r"]}, {"between": ["r", "b"]}]
    for forwards in (True, False):
        nodes = {"a": {}, "r": {"forwards": forwards}, "b": {}}
        with Lab(read_topology(json.dumps({"nodes": nodes, "links": links}))) as lab, receiver(lab):
            send(lab, 7)
            eventually(lambda lab=lab: lab.counters("r", "a-r").received_packets == 7)
            if forwards:
                eventually(lambda lab=lab: lab.counters("b", "r-b").received_packets == 7)
            else:
                assert lab.counters("b", "r-b").received_packets == 0


NOTHING = Offer(namespaces=None, netem="absent", tbf="absent", drop_filter="absent", packet_sockets="absent")


@pytest.mark.parametrize(
    ("shape", "need"),
    [
        ({"rate_kbps": 100}, "a rate needs sch_netem or sch_tbf"),
        ({"loss": 0.1}, "loss needs sch_netem or a BPF filter"),
        ({"delay_ms": 1}, "delay needs sch_netem or packet sockets"),
    ],
)
def test_a_lab_that_the_kernel_cannot_build_is_refused_with_what_is_missing(shape: dict[str, float], need: str):
    with pytest.raises(CannotBuildError, match=f"link 'a-b': {need}.*absent"):
        Lab(two_nodes(**shape), offer=NOTHING)


def test_a_running_link_cannot_get_what_the_kernel_does_not_offer():
    with Lab(two_nodes(), offer=NOTHING) as lab:
        with pytest.raises(CannotBuildError, match="cannot lose packets here: absent"):
            lab.cut("a-b")
        with pytest.raises(CannotBuildError, match="was built without delay"):
            lab.reshape("a-b", delay_ms=5)
        with pytest.raises(TopologyError, match="loss is 2"):
            lab.reshape("a-b", loss=2)
        with pytest.raises(KeyError, match="the lab has no link 'a-z'; it has a-b"):
            lab.heal("a-z")


def test_netem_gets_the_whole_shape_in_its_units():
    shape = Shape(rate_kbps=1000, delay_ms=20, jitter_ms=5, loss=0.01, queue_ms=50)
    # 75 ms at 125,000 bytes a second are 6.2 frames of 1514 bytes.
    assert netem_parameters(shape) == {"delay": 20_000, "jitter": 5_000, "loss": 1.0, "rate": 125_000, "limit": 7}


def test_the_offer_states_which_kernel_features_are_missing():
    assert OFFER.namespaces is None
    assert all(reason is None or "kernel answers" in reason for reason in (OFFER.netem, OFFER.tbf, OFFER.drop_filter))
