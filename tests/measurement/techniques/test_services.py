"""DNS, HTTP, SIP and plain data against servers whose delay and answers are known."""

import http.server
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest
import trustme

from measurement.operation import Technique
from measurement.techniques.sip_messages import read_response
from measurement.techniques.task import ProbeSettings
from tests.harness.waiting import eventually
from tests.measurement.techniques.labs import executed, operation, values

DELAY_S = 0.05
Answer = Callable[[bytes], list[bytes]]
HERE = "127.0.0.1"


@contextmanager
def udp_server(answer: Answer, *, port: int = 0) -> Iterator[int]:
    """A server that answers each datagram after the delay; its port."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((HERE, port))
        sock.settimeout(0.05)
        ended = threading.Event()

        def serve() -> None:
            while not ended.is_set():
                with suppress(TimeoutError, ConnectionRefusedError):
                    data, sender = sock.recvfrom(65_536)
                    time.sleep(DELAY_S)
                    for text in answer(data):
                        sock.sendto(text, sender)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield sock.getsockname()[1]
        finally:
            ended.set()
            thread.join()


@contextmanager
def tcp_server(answer: Answer) -> Iterator[int]:
    """A server that answers what a connection sends first, and ends it."""
    with socket.create_server((HERE, 0)) as server:
        server.settimeout(0.05)
        ended = threading.Event()

        def serve() -> None:
            while not ended.is_set():
                with suppress(TimeoutError, ConnectionError), server.accept()[0] as connection:
                    connection.settimeout(5)
                    data = connection.recv(65_536)
                    time.sleep(DELAY_S)
                    connection.sendall(b"".join(answer(data)))

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            ended.set()
            thread.join()


# DNS


def dns_answer(data: bytes, *, code: int = 0, truncated: bool = False) -> bytes:
    query = dns.message.from_wire(data)
    response = dns.message.make_response(query)
    response.set_rcode(code)
    response.flags |= dns.flags.TC if truncated else 0
    if not truncated and code == dns.rcode.NOERROR:
        response.answer.append(dns.rrset.from_text(query.question[0].name, 60, "IN", "A", "192.0.2.1", "192.0.2.2"))
    return response.to_wire()


@pytest.mark.parametrize(("code", "text"), [(0, "NOERROR"), (2, "SERVFAIL"), (3, "NXDOMAIN"), (5, "REFUSED")])
def test_the_answers_of_a_dns_server_are_different_results(code, text):
    with udp_server(lambda data: [b"junk", dns_answer(data, code=code)]) as port:
        outcome = executed(order_dns(port))
    found = values(outcome)
    assert outcome.status == "ok"
    assert found["rcode"] == code
    assert next(value.method for value in outcome.values if value.name == "rcode") == text
    assert found["answers"] == (2 if code == 0 else 0)
    assert found["udp_ms"] >= 50
    assert found["retries"] == 0
    assert outcome.reason == ("" if code == 0 else f"the server answers {text}")


def order_dns(port: int, **parameters):
    order = operation(Technique.DNS, HERE, port=port, **parameters)
    order.parameters["name"] = "www.example.org"
    return order


def test_a_truncated_answer_is_fetched_by_tcp():
    def by_tcp(data: bytes) -> list[bytes]:
        wire = dns_answer(data[2:])
        return [len(wire).to_bytes(2, "big"), wire]

    with tcp_server(by_tcp) as port, udp_server(lambda data: [dns_answer(data, truncated=True)], port=port):
        outcome = executed(order_dns(port))
    found = values(outcome)
    assert (outcome.status, found["truncated"], found["answers"]) == ("ok", 1, 2)
    assert found["tcp_ms"] >= 50
    assert found["tcp_connect_ms"] < found["tcp_ms"]
    assert found["total_ms"] >= found["udp_ms"] + found["tcp_ms"]


def test_a_lost_query_is_repeated_and_the_time_is_that_of_the_answered_one():
    lost = iter([True])
    with udp_server(lambda data: [] if next(lost, False) else [dns_answer(data)]) as port:
        outcome = executed(order_dns(port, timeout_ms=1500))
    assert outcome.status == "ok"
    assert values(outcome)["retries"] == 1
    assert 50 <= values(outcome)["udp_ms"] < values(outcome)["total_ms"] - 1400


def test_answers_of_others_are_ignored_and_silence_is_a_timeout():
    def foreign(data: bytes) -> list[bytes]:
        return [dns_answer(bytes([data[0] ^ 1]) + data[1:])]

    with udp_server(foreign) as port:
        outcome = executed(order_dns(port, timeout_ms=150, attempts=2))
    assert (outcome.status, outcome.reason) == ("timeout_target", "no answer by UDP to 2 queries within 150 ms each")


def test_a_name_that_cannot_exist_is_refused():
    order = order_dns(1)
    order.parameters["name"] = "a..b"
    assert executed(order).status == "refused"


# HTTP


class Pages(http.server.BaseHTTPRequestHandler):
    """/ after the delay, redirects within the server and away from it, and one error."""

    def do_GET(self) -> None:
        status, location, body = {
            "/": (200, "", b"x" * 5000),
            "/moved": (302, "/", b""),
            "/away": (302, "http://192.0.2.1/", b""),
            "/loop": (302, "/loop", b""),
        }.get(self.path, (404, "", b"none"))
        time.sleep(DELAY_S)
        self.send_response(status)
        if location:
            self.send_header("Location", location)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        pass


@contextmanager
def http_server(certificate: trustme.LeafCert | None = None) -> Iterator[int]:
    server = http.server.ThreadingHTTPServer((HERE, 0), Pages)
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate.configure_cert(context)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_the_phases_of_a_request_are_measured_one_by_one():
    with http_server() as port:
        outcome = executed(operation(Technique.HTTP, HERE, port=port, name="localhost"))
    found = values(outcome)
    assert outcome.status == "ok"
    assert (found["http_status"], found["body_bytes"], found["redirects"]) == (200, 5000, 0)
    assert found["first_byte_ms"] >= 50
    assert found["dns_ms"] is not None
    assert found["total_ms"] >= found["dns_ms"] + found["tcp_ms"] + found["first_byte_ms"] + found["transfer_ms"]
    assert "tls_ms" not in found


@pytest.mark.parametrize(
    ("path", "status", "redirects"), [("/moved", 200, 1), ("/away", 302, 0), ("/loop", 302, 2), ("/missing", 404, 0)]
)
def test_redirects_are_followed_only_to_the_same_server(path, status, redirects):
    with http_server() as port:
        outcome = executed(operation(Technique.HTTP, HERE, port=port, path=path, redirects=2))
    assert outcome.status == "ok"
    assert (values(outcome)["http_status"], values(outcome)["redirects"]) == (status, redirects)
    assert outcome.reason == ("the server answers 404" if status == 404 else "")


def test_no_more_than_the_permitted_bytes_are_read():
    with http_server() as port:
        assert values(executed(operation(Technique.HTTP, HERE, port=port, most_bytes=100)))["body_bytes"] == 100


def test_a_tls_server_has_a_handshake_and_a_certificate(tmp_path):
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    with http_server(authority.issue_cert("localhost")) as port:
        order = operation(Technique.HTTP, HERE, port=port, name=f"localhost:{port}", scheme="https")
        known = executed(order, ProbeSettings(ca_file=str(tmp_path / "ca.pem")))
        unknown = executed(order)
    assert known.status == "ok"
    assert values(known)["tls_ms"] > 0
    assert values(known)["certificate_days_left"] > 1
    assert unknown.status == "partial"
    assert unknown.reason.startswith("TCP works, TLS fails: ")
    assert "tcp_ms" in values(unknown)
    assert values(unknown)["tls_ms"] is None
    assert "http_status" not in values(unknown)


def test_a_server_that_never_answers_is_partial_because_tcp_works():
    with socket.create_server((HERE, 0)) as server:
        outcome = executed(operation(Technique.HTTP, HERE, port=server.getsockname()[1], timeout_ms=200))
    assert (outcome.status, outcome.reason) == ("partial", "no complete answer within 200 ms")
    assert values(outcome)["tcp_ms"] >= 0


def test_a_server_of_another_protocol_is_named():
    with tcp_server(lambda _data: [b"220 mail.example.org ESMTP\r\n"]) as port:
        outcome = executed(operation(Technique.HTTP, HERE, port=port))
    assert outcome.status == "partial"
    assert "does not speak HTTP" in outcome.reason


# SIP


class Phone:
    """A SIP server that notes requests and gives fixed responses to each method."""

    def __init__(self, **responses: tuple[int, ...]) -> None:
        self.responses = responses
        self.requests: list[str] = []
        self.invite = b""

    def answer(self, data: bytes) -> list[bytes]:
        method = data.split(b" ", 1)[0].decode()
        self.requests.append(method)
        if method == "INVITE":
            self.invite = data
        answers = [self._response(data, code) for code in self.responses.get(method, ())]
        if method == "CANCEL" and self.responses.get("INVITE", (0,))[-1] < 200:
            answers.append(self._response(self.invite, 487))
        return answers

    @staticmethod
    def _response(request: bytes, code: int) -> bytes:
        kept = re.findall(rb"(?im)^(?:via|from|call-id|cseq): [^\r\n]*", request)
        to = re.findall(rb"(?im)^to: [^\r\n]*", request)[0]
        tag = b"" if b";tag=" in to else b";tag=phone"
        return b"\r\n".join([b"SIP/2.0 %d Reason" % code, *kept, to + tag, b"Content-Length: 0", b"", b""])


def sip(phone: Phone, technique: Technique, *, requests: int = 0, **parameters):
    """The outcome, once the phone has got at least so many `requests`: the last one has no answer that the probe waits for."""
    with udp_server(phone.answer) as port:
        outcome = executed(
            operation(technique, HERE, port=port, name="phone.example.org", **parameters),
            ProbeSettings(invite_destinations=("phone.example.org",)),
        )
        eventually(lambda: len(phone.requests) >= requests)
    return outcome


@pytest.mark.parametrize("code", [200, 401, 404, 486, 503])
def test_any_final_response_means_that_a_sip_server_is_reachable(code):
    phone = Phone(OPTIONS=(100, code))
    outcome = sip(phone, Technique.SIP_OPTIONS)
    found = values(outcome)
    assert outcome.status == "ok"
    assert (found["sip_status"], found["retransmissions"]) == (code, len(phone.requests) - 1)
    assert found["response_ms"] >= found["provisional_ms"] >= 50


def test_a_sip_request_is_repeated_and_the_time_is_then_marked():
    phone = Phone()
    timer = iter([(), (200,)])
    phone.answer = lambda data: [Phone._response(data, code) for code in next(timer, ())]
    outcome = sip(phone, Technique.SIP_OPTIONS, timeout_ms=3000)
    assert (outcome.status, outcome.quality) == ("ok", "degraded")
    assert values(outcome)["retransmissions"] == 1
    assert values(outcome)["response_ms"] >= 500


def test_a_silent_sip_server_is_a_timeout():
    outcome = sip(Phone(), Technique.SIP_OPTIONS, timeout_ms=1400)
    assert (outcome.status, outcome.reason) == ("timeout_target", "no final response to 2 requests within 1400 ms")


def test_sip_works_by_tcp():
    phone = Phone(OPTIONS=(200,))
    with tcp_server(phone.answer) as port:
        outcome = executed(operation(Technique.SIP_OPTIONS, HERE, port=port, transport="tcp"))
    assert (outcome.status, values(outcome)["sip_status"]) == ("ok", 200)


@pytest.mark.parametrize(
    ("responses", "requests", "code"),
    [
        ({"INVITE": (100, 180), "CANCEL": (200,)}, ["INVITE", "CANCEL", "ACK"], 180),  # it rings: cancel
        ({"INVITE": (100, 486)}, ["INVITE", "ACK"], 486),  # busy: acknowledge
        ({"INVITE": (200,), "BYE": (200,)}, ["INVITE", "ACK", "BYE"], 200),  # answered: end the call
    ],
)
def test_a_call_is_always_cleaned_up(responses, requests, code):
    phone = Phone(**responses)
    outcome = sip(phone, Technique.SIP_INVITE, requests=len(requests))
    assert outcome.status == "ok"
    assert values(outcome)["sip_status"] == code
    assert values(outcome)["session_request_delay_ms"] >= 50
    assert "clean_up_failed" not in values(outcome)
    assert phone.requests == requests


def test_a_call_to_a_destination_that_is_not_on_the_list_is_refused_without_a_packet():
    phone = Phone(INVITE=(200,))
    with udp_server(phone.answer) as port:
        outcome = executed(operation(Technique.SIP_INVITE, HERE, port=port))
    assert outcome.status == "refused"
    assert "not on the agent's list" in outcome.reason
    assert phone.requests == []


@pytest.mark.parametrize(
    "data", [b"", b"OPTIONS sip:a SIP/2.0\r\n\r\n", b"SIP/2.0 999 x\r\n", b"\xff" * 50, b"SIP/2.0 200 OK\r\n\r\n"]
)
def test_invalid_sip_responses_are_ignored(data):
    assert read_response(data) is None


# Data


def test_data_by_udp_is_sent_and_answered():
    with udp_server(lambda data: [data[::-1]]) as port:
        outcome = executed(operation(Technique.UDP_SEND, HERE, port=port, text="abc", count=2))
    found = values(outcome)
    assert outcome.status == "ok"
    assert (found["packets_sent"], found["answers"], found["answer_bytes"]) == (2, 2, 6)
    assert found["first_answer_ms"] >= 25


def test_udp_data_without_an_answer_times_out_and_a_wait_of_zero_only_sends():
    with udp_server(lambda _data: []) as port:
        silent = executed(operation(Technique.UDP_SEND, HERE, port=port, hex="00ff", wait_ms=100))
        one_way = executed(operation(Technique.UDP_SEND, HERE, port=port, wait_ms=0))
    assert (silent.status, silent.reason) == ("timeout_target", "no answer to 1 datagrams within 100 ms")
    assert one_way.status == "ok"
    assert executed(operation(Technique.UDP_SEND, HERE, port=port, wait_ms=500)).status == "unreachable"
    assert executed(operation(Technique.UDP_SEND, HERE)).reason == "UDP_SEND needs the port of the destination"


def test_data_by_tcp_is_sent_and_answered():
    with tcp_server(lambda data: [b"<", data, b">"]) as port:
        outcome = executed(operation(Technique.TCP_SEND, HERE, port=port, text="abc"))
    assert outcome.status == "ok"
    assert values(outcome)["answer_bytes"] == 5
    assert values(outcome)["first_answer_ms"] >= 25
    assert executed(operation(Technique.TCP_SEND, HERE, port=port)).status == "unreachable"
