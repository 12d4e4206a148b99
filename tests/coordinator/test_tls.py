"""TLS on both sides: only the peer can read what is sent, and only a proven feedback server gets batches."""

import json
import socket
import ssl
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from tests.harness.processes import run_swarmscope
from tests.harness.waiting import eventually

BODY = json.dumps({"v": 1, "peer_id": "p", "session_id": "s", "seq": 0, "event": "join", "sent_ms": 1}).encode()


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


class Files:
    """A certificate for 127.0.0.1 and its authority, as files."""

    def __init__(self, authority: trustme.CA, folder: Path, name: str = "127.0.0.1") -> None:
        self.authority = authority
        self.cert, self.key, self.ca = folder / "cert.pem", folder / "key.pem", folder / "ca.pem"
        authority.cert_pem.write_to_path(self.ca)
        self.renew(name)

    def renew(self, name: str = "127.0.0.1", **times: datetime) -> None:
        issued = self.authority.issue_cert(name, **times)
        issued.private_key_pem.write_to_path(self.key)
        self.cert.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))

    def flags(self, *more: str) -> tuple[str, ...]:
        return ("--tls-cert", str(self.cert), "--tls-key", str(self.key), *more)


@pytest.fixture
def files(authority, tmp_path: Path) -> Files:
    return Files(authority, tmp_path)


@pytest.fixture
def trusting(authority) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def secure(coordinator, context: ssl.SSLContext) -> ssl.SSLSocket:
    return context.wrap_socket(coordinator.connect(), server_hostname="127.0.0.1")


def request(body: bytes = BODY, length: int | None = None) -> bytes:
    return b"POST /v1/feedback HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (length or len(body), body)


def answer(connection: socket.socket) -> int:
    return int(connection.recv(4096).split()[1])


def is_heard(coordinator, context: ssl.SSLContext) -> bool:
    """Whether a request gets an answer; false if the connection ends."""
    try:
        with secure(coordinator, context) as connection:
            connection.sendall(request())
            return connection.recv(4096).startswith(b"HTTP/1.1 202 ")
    except OSError:
        return False


def serial(connection: ssl.SSLSocket) -> object:
    certificate = connection.getpeercert()
    assert certificate is not None
    return certificate["serialNumber"]


def test_end_hosts_are_served_over_tls_and_refused_without_it(coordinators, receiver, files, trusting):
    coordinator = coordinators(receiver, flags=files.flags())
    with secure(coordinator, trusting) as connection:
        for _ in range(3):
            connection.sendall(request())
            assert answer(connection) == 202
        connection.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        assert answer(connection) == 200
    with coordinator.connect() as plain:
        plain.sendall(request())
        assert b"HTTP" not in plain.recv(1000)
    with pytest.raises(ssl.SSLCertVerificationError):
        secure(coordinator, ssl.create_default_context())
    assert len(receiver.records) == 3
    assert "Traceback" not in coordinator.log_text()


def test_a_refusal_over_tls_can_be_read_while_the_body_is_still_being_sent(coordinators, receiver, files, trusting):
    coordinator = coordinators(receiver, flags=files.flags())
    with secure(coordinator, trusting) as connection:
        connection.sendall(request(b"", length=10**7))
        assert answer(connection) == 413
        connection.sendall(bytes(100_000))
    assert "Traceback" not in coordinator.log_text()


def test_with_mutual_tls_only_clients_with_a_certificate_are_served(coordinators, receiver, files, authority, trusting):
    coordinator = coordinators(receiver, flags=files.flags("--tls-client-ca", str(files.ca)))
    assert not is_heard(coordinator, trusting)
    authority.issue_cert("player").configure_cert(trusting)
    assert is_heard(coordinator, trusting)
    impostor = ssl.create_default_context()
    authority.configure_trust(impostor)
    trustme.CA().issue_cert("player").configure_cert(impostor)
    assert not is_heard(coordinator, impostor)
    assert len(receiver.records) == 1


def test_a_certificate_is_renewed_without_a_restart_and_a_broken_one_changes_nothing(coordinators, receiver, files, trusting):
    coordinator = coordinators(receiver, flags=files.flags("--workers", "2"))
    with secure(coordinator, trusting) as before:
        first = serial(before)
        files.renew()
        coordinator.reload()

        def renewed() -> bool:
            with secure(coordinator, trusting) as connection:
                return serial(connection) != first

        # The kernel distributes connections at random: the chance that all of these go to one of two workers is 1 in 10¹².
        eventually(lambda: all(renewed() for _ in range(40)), "all workers show the new certificate")
        before.sendall(request())
        assert answer(before) == 202
    files.key.write_text("rubbish")
    coordinator.reload()
    eventually(lambda: "the former certificate stays in use" in coordinator.log_text(), "the mistake is logged")
    assert renewed()


def test_the_coordinator_stops_cleanly_while_a_client_is_silent(coordinators, receiver, files, trusting):
    coordinator = coordinators(receiver, flags=files.flags())
    with secure(coordinator, trusting) as idle:
        idle.sendall(request())
        assert answer(idle) == 202
        began = time.monotonic()
        assert coordinator.stop() == 0
        assert time.monotonic() - began < 5


@pytest.fixture
def secure_receiver(receivers, authority):
    """A receiver behind TLS that asks for a certificate of the authority."""
    receiver = receivers()
    receiver.stop()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    receiver.tls = context
    receiver.start()
    return receiver


def test_a_feedback_server_is_reached_over_mutual_tls_repeatedly(coordinators, secure_receiver, files, trusting):
    coordinator = coordinators(secure_receiver, flags=files.flags("--tls-ca", str(files.ca)))
    with secure(coordinator, trusting) as connection:
        connection.sendall(request())
        assert answer(connection) == 202
        secure_receiver.stop()
        connection.sendall(request())
        assert answer(connection) == 503
        secure_receiver.start()

        def stored() -> bool:
            connection.sendall(request())
            return answer(connection) == 202

        eventually(stored, "the feedback server is used again")
    assert len(secure_receiver.records) == 2


def test_a_feedback_server_that_cannot_prove_its_identity_gets_nothing(coordinators, secure_receiver, files, tmp_path):
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(other)
    coordinator = coordinators(secure_receiver, flags=("--tls-ca", str(other)))
    assert coordinator.post(BODY)[1]["reason"] == "no_feedback_server"
    assert "certificate verify failed" in coordinator.log_text()
    assert secure_receiver.arrivals == 0


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda files: ("--tls-cert", str(files.cert)), "belong together"),
        (lambda files: ("--tls-client-ca", str(files.ca)), "needs TLS"),
        (lambda files: ("--tls-cert", str(files.cert), "--tls-key", str(files.ca)), "cannot be used"),
        (lambda files: ("--tls-cert", str(files.cert), "--tls-key", str(files.key) + "x"), "No such file"),
        (lambda files: ("--tls-ca", str(files.key)), "cannot be used"),
        (lambda files: files.flags("--tls-client-ca", str(files.key)), "cannot be used"),
    ],
)
def test_a_tls_setting_that_cannot_work_is_refused_at_startup(files, spoil, words):
    refused = run_swarmscope("coordinator", "--insecure", "--feedback-server", "https://127.0.0.1:9", *spoil(files))
    assert refused.returncode != 0
    output = " ".join((refused.stdout + refused.stderr).replace("│", " ").split())
    assert words in output
    assert "Traceback" not in output


def mute(coordinator) -> socket.socket:
    """A connection on which no handshake begins."""
    return coordinator.connect()


def test_unfinished_handshakes_do_not_delay_the_stop(coordinators, receiver, files, trusting):
    coordinator = coordinators(receiver, flags=files.flags())
    with mute(coordinator), mute(coordinator) as begun:
        begun.sendall(bytes.fromhex("160301"))
        assert is_heard(coordinator, trusting)
        began_s = time.monotonic()
        assert coordinator.stop() == 0
    assert time.monotonic() - began_s < 8, "answers in progress would have had 8 s"
    assert "Traceback" not in coordinator.log_text()


def test_authorities_are_read_again_and_a_removed_one_is_no_longer_trusted(coordinators, receiver, files, authority, trusting):
    coordinator = coordinators(receiver, flags=files.flags("--tls-client-ca", str(files.ca)))
    authority.issue_cert("player").configure_cert(trusting)
    assert is_heard(coordinator, trusting)
    other = trustme.CA()
    other.cert_pem.write_to_path(files.ca)
    coordinator.reload()
    eventually(lambda: not is_heard(coordinator, trusting), "the former authority's certificates are refused")
    other.issue_cert("player").configure_cert(trusting)
    assert is_heard(coordinator, trusting)


def test_a_new_authority_of_a_feedback_server_is_trusted_without_a_restart(coordinators, receiver, files):
    theirs = trustme.CA()
    receiver.stop()
    receiver.tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    theirs.issue_cert("127.0.0.1").configure_cert(receiver.tls)
    receiver.start()
    coordinator = coordinators(receiver, flags=("--tls-ca", str(files.ca)))
    assert coordinator.post(BODY)[0] == 503
    theirs.cert_pem.write_to_path(files.ca)
    coordinator.reload()
    eventually(lambda: coordinator.post(BODY)[0] == 202, "the feedback server is used again")


def test_a_certificate_that_clients_will_refuse_is_logged_at_startup_and_at_renewal(coordinators, receiver, files):
    files.renew(not_after=datetime.now(UTC) - timedelta(days=1))
    coordinator = coordinators(receiver, flags=files.flags())
    assert coordinator.log_text().count("expired at") == 1
    files.renew(not_before=datetime.now(UTC) + timedelta(days=1))
    coordinator.reload()
    eventually(lambda: "is not valid before" in coordinator.log_text(), "the log has the warning")
