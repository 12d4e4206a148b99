"""TLS on the feedback server's listener:

coordinators and readers verify the server, and clients without a certificate are refused.
"""

import datetime
import json
import re
import resource
import select
import socket
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import trustme

from tests.harness.processes import Server, run_swarmscope
from tests.harness.waiting import eventually

MESSAGE = json.dumps({"v": 1, "peer_id": "p", "session_id": "s", "seq": 0, "event": "join", "sent_ms": 1}).encode()
YESTERDAY = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)


class Files:
    """An authority, and certificates by it as files and flags."""

    def __init__(self, folder: Path) -> None:
        self.authority = trustme.CA()
        self.folder = folder
        self.ca = folder / "ca.pem"
        self.authority.cert_pem.write_to_path(self.ca)

    def pair(self, name: str, *, by: trustme.CA | None = None, expires: datetime.datetime | None = None) -> tuple[str, str]:
        """Paths of a certificate for `name` and of its key."""
        issued = (by or self.authority).issue_cert(name, not_after=expires)
        cert, key = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        cert.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        issued.private_key_pem.write_to_path(key)
        return str(cert), str(key)

    def listening(self, name: str = "127.0.0.1", *more: str, expires: datetime.datetime | None = None) -> tuple[str, ...]:
        cert, key = self.pair(name, expires=expires)
        return ("--tls-cert", cert, "--tls-key", key, *more)

    def trusting(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.ca)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def logs(server: Server, context: ssl.SSLContext) -> list[dict]:
    with urllib.request.urlopen(server.url + "/v1/logs", timeout=20, context=context) as answer:
        return json.load(answer)["logs"]


def serial(server: Server, context: ssl.SSLContext) -> object:
    host, _, port = urlsplit(server.url).netloc.partition(":")
    with socket.create_connection((host, int(port)), timeout=20) as link, context.wrap_socket(link, server_hostname=host) as secure:
        return secure.getpeercert()["serialNumber"]


@pytest.fixture
def coordinator(serve: Callable[..., Server]) -> Callable[..., Server]:
    """A coordinator in front of `server`, without a spool: its 202 means that server's 200."""

    def coordinator(server: Server, *flags: str) -> Server:
        own = ("--insecure", "--listen", "127.0.0.1:0", "--spool-max-bytes", "0")
        return serve("coordinator", *own, "--feedback-server", server.url, *flags)

    return coordinator


def send(coordinator: Server) -> int:
    request = urllib.request.Request(coordinator.url + "/v1/feedback", MESSAGE, {"content-type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status
    except urllib.error.HTTPError as refusal:
        return refusal.code


def test_batches_and_downloads_travel_over_tls(start_feedback_server, files, coordinator):
    server = start_feedback_server(*files.listening()).server
    assert server.url.startswith("https://")
    assert send(coordinator(server, "--tls-ca", str(files.ca))) == 202
    (entry,) = logs(server, files.trusting())
    assert entry["records"] == 1
    assert server.stop() == 0


def test_with_mutual_tls_only_clients_with_a_certificate_of_the_authority_are_served(start_feedback_server, files, coordinator):
    server = start_feedback_server(*files.listening("127.0.0.1", "--tls-client-ca", str(files.ca))).server
    trust = ("--tls-ca", str(files.ca))
    with pytest.raises(OSError, match=r".+"):
        logs(server, files.trusting())
    assert send(coordinator(server, *trust)) == 503
    cert, key = files.pair("stranger", by=trustme.CA())
    assert send(coordinator(server, *trust, "--tls-client-cert", cert, "--tls-client-key", key)) == 503
    cert, key = files.pair("late", expires=YESTERDAY)
    assert send(coordinator(server, *trust, "--tls-client-cert", cert, "--tls-client-key", key)) == 503
    cert, key = files.pair("c1")
    assert send(coordinator(server, *trust, "--tls-client-cert", cert, "--tls-client-key", key)) == 202
    reader = files.trusting()
    reader.load_cert_chain(cert, key)
    assert [entry["records"] for entry in logs(server, reader)] == [1]
    assert "Traceback" not in server.log_text()


@pytest.mark.parametrize("wrong", ["authority", "name", "time"])
def test_a_coordinator_sends_nothing_to_a_server_that_cannot_prove_its_identity(
    start_feedback_server, files, coordinator, tmp_path, wrong
):
    name, expires = ("fs2.example" if wrong == "name" else "127.0.0.1"), (YESTERDAY if wrong == "time" else None)
    start_feedback_server = start_feedback_server(*files.listening(name, expires=expires))
    trusted = files.ca
    if wrong == "authority":
        trusted = tmp_path / "other-ca.pem"
        trustme.CA().cert_pem.write_to_path(trusted)
    sender = coordinator(start_feedback_server.server, "--tls-ca", str(trusted))
    assert send(sender) == 503
    assert "certificate verify failed" in sender.log_text()
    assert not list(start_feedback_server.data.glob("2*")), "nothing was stored"


def test_a_certificate_is_renewed_without_a_restart_and_a_broken_one_changes_nothing(start_feedback_server, files):
    flags = files.listening()
    server, trusting = start_feedback_server(*flags).server, files.trusting()
    first = serial(server, trusting)
    files.pair("127.0.0.1")
    server.reload()
    second = eventually(lambda: (now := serial(server, trusting)) != first and now)
    Path(flags[3]).write_text("rubbish")
    server.reload()
    eventually(lambda: "the former certificate stays in use" in server.log_text())
    assert serial(server, trusting) == second


def test_authorities_are_read_again_and_a_removed_one_is_no_longer_trusted(start_feedback_server, files):
    server = start_feedback_server(*files.listening("127.0.0.1", "--tls-client-ca", str(files.ca))).server
    known, other = files.trusting(), trustme.CA()
    known.load_cert_chain(*files.pair("c1"))
    assert logs(server, known) == []
    later = files.trusting()
    later.load_cert_chain(*files.pair("c2", by=other))
    other.cert_pem.write_to_path(files.ca)
    server.reload()

    def is_let_in(context: ssl.SSLContext) -> bool:
        try:
            return logs(server, context) == []
        except OSError:
            return False

    eventually(lambda: is_let_in(later))
    assert not is_let_in(known)


def test_a_certificate_that_clients_will_refuse_is_logged_at_startup_and_at_renewal(start_feedback_server, files):
    server = start_feedback_server(*files.listening(expires=YESTERDAY)).server
    assert server.log_text().count("expired at") == 1
    server.reload()
    eventually(lambda: server.log_text().count("expired at") == 2)


def test_unfinished_handshakes_count_as_connections_and_those_beyond_the_limit_are_closed(start_feedback_server, files):
    most, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (104, hard))  # half of what is beyond 64: 20 connections, and 16 that get a refusal
    try:
        server = start_feedback_server(*files.listening()).server
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    host, _, port = urlsplit(server.url).netloc.partition(":")
    with ExitStack() as crowd:
        silent = [crowd.enter_context(socket.create_connection((host, int(port)), timeout=20)) for _ in range(60)]
        eventually(lambda: len(select.select(silent, [], [], 0)[0]) >= 60 - 20 - 16)
    eventually(lambda: is_served(server, files.trusting()))
    eventually(lambda: refused(server, files.trusting(), "tls_handshake", "too_many_connections") >= 60)
    assert refused(server, files.trusting(), "too_many_connections") > 0
    assert server.stop() == 0
    assert "Traceback" not in server.log_text()


def is_served(server: Server, context: ssl.SSLContext) -> bool:
    try:
        return bool(metrics(server, context))
    except OSError:
        return False


def refused(server: Server, context: ssl.SSLContext, *reasons: str) -> float:
    metrics_text = metrics(server, context)
    return sum(
        float(count) for reason, count in re.findall(r'refused_total{reason="(.*)"} (.*)', metrics_text) if reason in reasons
    )


def metrics(server: Server, context: ssl.SSLContext) -> str:
    fresh = urllib.request.Request(server.url + "/metrics", headers={"Cache-Control": "no-cache"})
    with urllib.request.urlopen(fresh, timeout=20, context=context) as answer:
        return answer.read().decode()


def test_a_silent_client_does_not_delay_the_stop(start_feedback_server, files):
    server = start_feedback_server(*files.listening()).server
    host, _, port = urlsplit(server.url).netloc.partition(":")
    with socket.create_connection((host, int(port)), timeout=20) as mute, socket.create_connection((host, int(port))) as link:
        with files.trusting().wrap_socket(link, server_hostname=host) as secure:
            secure.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            assert secure.recv(4096).startswith(b"HTTP/1.1 200 ")
            assert server.stop() == 0
        mute.close()


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda files: files.listening()[:2], "belong together"),
        (lambda files: ("--tls-client-ca", str(files.ca)), "needs TLS"),
        (lambda files: (*files.listening()[:3], str(files.ca)), "cannot be used"),
        (lambda files: (*files.listening()[:3], "/nowhere"), "No such file"),
        (lambda files: files.listening("127.0.0.1", "--tls-client-ca", files.listening()[3]), "cannot be used"),
    ],
)
def test_a_tls_setting_that_cannot_work_is_refused_at_startup(files, tmp_path, spoil, words):
    refused = run_swarmscope("feedback-server", "--insecure", "--data", tmp_path / "data", *spoil(files))
    assert refused.returncode == 2
    output = " ".join((refused.stdout + refused.stderr).replace("│", " ").split())
    assert words in output
    assert "Traceback" not in output
