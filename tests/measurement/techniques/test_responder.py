"""IGI and RTP against a responder, and what the responder refuses to do for others."""

import json
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pyroute2 import IPRoute

from measurement.estimates.rtp_reception import RtpReception
from measurement.operation import Technique
from measurement.outcome import Outcome
from measurement.responder import MOST_CONNECTIONS_OF_AN_ADDRESS, Responder
from measurement.responder_protocol import REFLECTED, RTP_HEADER, RTP_VERSION, TRAIN_MAGIC, TRAIN_PACKET, Opening, line, proof
from measurement.techniques.registry import measure
from netlab import Lab, read_capture
from tests.harness.waiting import eventually
from tests.measurement.responders import running_responder
from tests.measurement.techniques.labs import chain, executed, operation, shape_for_trains, values
from tests.netlab.labs import needs, needs_namespaces, two_nodes

TOKEN = "a-secret-token"


@contextmanager
def responder_at(lab: Lab, node: str) -> Iterator[Responder]:
    with lab.inside(node):
        running = running_responder(token=TOKEN, host="0.0.0.0")
        responder = running.__enter__()
    try:
        yield responder
    finally:
        running.__exit__(None, None, None)


def measured(lab: Lab, technique: Technique, start: str, end: str, **parameters: str | int) -> Outcome:
    with responder_at(lab, end) as responder, lab.inside(start):
        return executed(operation(technique, lab.address(end), port=responder.port, token=TOKEN, **parameters))


@needs_namespaces
@needs("tbf")
def test_the_capacity_is_that_of_the_slowest_link():
    with Lab(chain(100_000, 20_000)) as lab:
        shape_for_trains(lab)
        truth = 20_000 * 528 / 542  # tbf counts the Ethernet header too
        found: list[float] = []
        for _ in range(5):  # a busy machine disturbs some of the trains
            outcome = measured(lab, Technique.IGI, "src", "dst")
            found.append(values(outcome)["capacity_kbps"])
            if abs(found[-1] - truth) <= 0.03 * truth and outcome.status == "ok":
                break
        print(f"capacity {found} of {truth:.0f} kbit/s; {outcome.status} {outcome.reason}")
        assert abs(found[-1] - truth) <= 0.03 * truth
    assert values(outcome)["available_kbps"] <= values(outcome)["capacity_kbps"]
    assert values(outcome)["trains"] >= 6


@needs_namespaces
def test_trains_that_are_lost_as_a_whole_end_the_operation_after_two_of_them():
    """The original tool waits forever. The router here drops all UDP packets, and no TCP packets."""
    with Lab(chain(None, None)) as lab:
        with lab.inside("r1"), IPRoute() as routes:
            routes.rule("add", priority=1, ip_proto=socket.IPPROTO_UDP, action="FR_ACT_BLACKHOLE")
        outcome = measured(lab, Technique.IGI, "src", "dst")
    assert outcome.status == "timeout_target"
    assert "none of 120 UDP packets" in outcome.reason  # of two trains


@needs_namespaces
@needs("drop_filter")
def test_the_loss_of_a_call_is_that_of_each_direction():
    with Lab(two_nodes()) as lab:

        def lose(found: Outcome) -> None:
            """The second 50 packets meet links that lose packets; the control connection does not."""
            loses = found.reason == "50 packets are sent"
            lab.reshape("a-b", direction="forth", loss=0.3 if loses else 0.0)
            lab.reshape("a-b", direction="back", loss=0.2 if loses else 0.0)

        with responder_at(lab, "b") as responder, lab.inside("a"):
            order = operation(Technique.RTP, lab.address("b"), port=responder.port, token=TOKEN, packets=101)
            outcome = measure(order, lose)
        forth, back = (lab.counters(node, "a-b").filter_dropped for node in "ab")
    found = values(outcome)
    assert forth > 0
    assert back > 0
    assert outcome.status == "partial"
    assert (found["packets_sent"], found["packets_reflected"], found["packets_returned"]) == (101, 101 - forth, 101 - forth - back)
    assert found["loss_forward_ratio"] == pytest.approx(forth / 101)
    assert found["loss_backward_ratio"] == pytest.approx(back / (101 - forth))
    assert found["mos_forward"] < 4.3


@needs_namespaces
@needs("packet_sockets")
def test_a_call_has_the_delay_of_the_link_and_the_jitter_of_the_wire(tmp_path: Path):
    with Lab(two_nodes(delay_ms=30, jitter_ms=5)) as lab, lab.capture("b", "a-b", tmp_path / "b.pcap") as capture:
        outcome = measured(lab, Technique.RTP, "a", "b", packets=40)
        assert capture.overflowed == 0
    found = values(outcome)
    assert outcome.status == "ok"
    assert found["rtt_min_ms"] >= 50
    assert found["loss_forward_ratio"] == found["loss_backward_ratio"] == 0
    assert 2 < found["mos_forward"] <= 4.5
    assert {value.method[:9] for value in outcome.values if value.name.startswith("mos_")} == {"estimated"}
    # The reported jitter is in ms, and 8 units of the RTP clock are 1 ms.
    assert abs(found["jitter_forward_ms"] * 8 - jitter_in_capture(tmp_path / "b.pcap")) <= 1


def jitter_in_capture(path: Path) -> int:
    """The jitter of the RTP packets that arrive at `b`, in RTP units, from the time stamps of their frames."""
    reception = None
    for frame in read_capture(path):
        header = frame.header[14 + 20 + 8 :]
        if len(header) < RTP_HEADER.size or header[0] != RTP_VERSION or struct.unpack("!I", header[28:32])[0]:
            continue  # the reflected packets have a time there
        _, _, number, timestamp, _ = RTP_HEADER.unpack_from(header)
        reception = reception or RtpReception(number)
        reception.receive(number, timestamp, frame.time_ns * 8000 // 10**9)
    assert reception is not None
    return reception.jitter


def test_a_train_technique_without_the_token_of_the_destination_is_refused():
    with running_responder(token=TOKEN, host="127.0.0.1") as responder:
        wrong = executed(operation(Technique.IGI, "127.0.0.1", port=responder.port, token="another-token"))
        none = executed(operation(Technique.RTP, "127.0.0.1", port=responder.port))
    assert (wrong.status, wrong.reason) == (
        "refused",
        "the responder of the destination refuses: the token is not that of the responder",
    )
    assert none.status == "refused"
    assert "run `swarmscope measurement-responder` there" in none.reason
    assert responder.counts["wrong_tokens"] == 1
    assert responder.counts["sessions"] == 0


def test_a_destination_without_a_responder_is_refused_with_what_to_do():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    outcome = executed(operation(Technique.IGI, "127.0.0.1", port=port, token=TOKEN))
    assert outcome.status == "refused"
    assert f"no responder listens on port {port}" in outcome.reason


def test_another_server_on_the_port_does_not_count_as_a_responder():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        server.settimeout(30)

        def answer() -> None:
            with server.accept()[0] as connection:
                connection.sendall(b"SSH-2.0-OpenSSH\r\n")
                connection.recv(1)

        thread = threading.Thread(target=answer)
        thread.start()
        outcome = executed(operation(Technique.IGI, "127.0.0.1", port=port, token=TOKEN))
        thread.join()
    assert (outcome.status, outcome.reason) == ("refused", f"what listens on port {port} is not a responder")


# What strangers cannot do


@contextmanager
def session(responder: Responder, purpose: str) -> Iterator[tuple[socket.socket, bytes]]:
    """An open session, by hand: the connection and the id."""
    with socket.create_connection(("127.0.0.1", responder.port), timeout=30) as connection, connection.makefile("rb") as lines:
        challenge = json.loads(lines.readline())
        connection.sendall(line(Opening(proof=proof(TOKEN, challenge["nonce"]), purpose=purpose, technique="test")))
        yield connection, bytes.fromhex(json.loads(lines.readline())["session"])


def rtp_packet(session_id: bytes, length: int = 172) -> bytes:
    return (RTP_HEADER.pack(RTP_VERSION, 0, 1, 160, 7) + session_id).ljust(length, b"\0")


def answers(responder: Responder, *packets: bytes, source: str = "127.0.0.1", expected: int = 0) -> list[int]:
    """The sizes of what comes back: so many answers, however late they are, and those of the next 0.3 s."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.bind((source, 0))
        for packet in packets:
            sender.sendto(packet, ("127.0.0.1", responder.port))
        sizes: list[int] = []
        try:
            while True:
                sender.settimeout(60 if len(sizes) < expected else 0.3)
                sizes.append(len(sender.recv(65_536)))
        except TimeoutError:
            return sizes


def test_packets_of_strangers_are_not_answered_and_are_counted():
    with running_responder(token=TOKEN, host="127.0.0.1") as responder, session(responder, "reflect") as (_, session_id):
        assert answers(responder, rtp_packet(b"\0" * 8), b"", b"x", TRAIN_MAGIC) == []
        assert answers(responder, rtp_packet(session_id), source="127.0.0.2") == []
        eventually(lambda: responder.counts["foreign_datagrams"] == 5)
        assert answers(responder, rtp_packet(session_id), expected=1) == [172]


def test_an_answer_is_never_longer_than_the_packet():
    with running_responder(token=TOKEN, host="127.0.0.1") as responder, session(responder, "reflect") as (_, session_id):
        least = RTP_HEADER.size + REFLECTED.size
        assert answers(responder, rtp_packet(session_id, least - 1), rtp_packet(session_id, least), expected=1) == [least]


def test_a_session_reflects_only_as_many_packets_as_its_rate_limit_permits():
    with running_responder(token=TOKEN, host="127.0.0.1") as responder, session(responder, "reflect") as (_, session_id):
        begin = time.monotonic()
        count = len(answers(responder, *[rtp_packet(session_id)] * 1000, expected=1))
        assert 0 < count <= 200 * (1 + time.monotonic() - begin)
        eventually(lambda: responder.counts["over_limit"] + count == 1000)


def test_trains_are_never_answered_by_udp():
    with running_responder(token=TOKEN, host="127.0.0.1") as responder, session(responder, "train") as (_, session_id):
        assert answers(responder, TRAIN_PACKET.pack(TRAIN_MAGIC, session_id, 1, 1) + b"\0" * 400, rtp_packet(session_id)) == []


def test_one_address_cannot_take_all_connections():
    with running_responder(token=TOKEN, host="127.0.0.1") as responder:
        taken = [socket.create_connection(("127.0.0.1", responder.port)) for _ in range(MOST_CONNECTIONS_OF_AN_ADDRESS)]
        eventually(lambda: len(responder._connections) == MOST_CONNECTIONS_OF_AN_ADDRESS)
        outcome = executed(operation(Technique.IGI, "127.0.0.1", port=responder.port, token=TOKEN))
        for each in taken:
            each.close()
        assert "too many connections" in outcome.reason
        assert outcome.status == "refused"
        eventually(lambda: not responder._connections)


def test_invalid_lines_end_only_their_connection():
    with running_responder(token=TOKEN, host="127.0.0.1") as responder:
        for text in (b"\n", b"{}\n", b"[1]\n", b"\xff\n", b'{"type":"collect","train":1,"packets":1}\n'):
            with socket.create_connection(("127.0.0.1", responder.port), timeout=30) as connection:
                connection.sendall(text)
                while connection.recv(4096):
                    pass
        with session(responder, "train"):
            pass
        assert responder.counts["sessions"] == 1


def test_a_responder_that_ends_ends_its_sessions_at_once_and_logs_no_error(caplog):
    with running_responder(token=TOKEN, host="127.0.0.1") as responder:
        opened = session(responder, "consent")
        connection, _ = opened.__enter__()
    # The responder has ended here, although the session is open.
    assert connection.recv(1) == b""
    assert caplog.records == []
    opened.__exit__(None, None, None)


def test_a_call_ends_when_the_destination_ends_its_consent():
    reported = threading.Event()
    outcomes: list[Outcome] = []
    with running_responder(token=TOKEN, host="127.0.0.1") as responder:
        order = operation(Technique.RTP, "127.0.0.1", port=responder.port, token=TOKEN, packets=2000)
        call = threading.Thread(target=lambda: outcomes.append(measure(order, lambda _found: reported.set())))
        call.start()
        assert reported.wait(60)
    call.join(30)  # the call itself would take 40 seconds
    assert [(outcome.status, outcome.reason) for outcome in outcomes] == [
        ("refused", "the responder of the destination ended the session")
    ]
