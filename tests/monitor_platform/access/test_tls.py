"""TLS of the monitor: towards browsers, and towards feedback servers that require a client certificate."""

import asyncio
import contextlib
import json
import socket
import ssl
import time
import urllib.request
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest
import trustme

from feedback_wire import routes
from feedback_wire.record import Origin
from monitor_platform.access.users import Users
from monitor_platform.retrieval.feedback_server_client import FeedbackServerClient, checked_url
from serving.tls import Tls, key_pair
from tests.harness.waiting import eventually
from tests.monitor_platform.access.conftest import Dashboard

ORIGIN = Origin(ip="1.36.209.7", weight=1, via="c1").prefix()


@pytest.fixture
def trusting(authority) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def certificate_of(trusting: ssl.SSLContext, dashboard: Dashboard) -> bytes:
    """The certificate that the dashboard shows now."""
    name, port = dashboard.host.split(":")
    with (
        socket.create_connection((name, int(port)), timeout=10) as plain,
        trusting.wrap_socket(plain, server_hostname=name) as secure,
    ):
        return secure.getpeercert(binary_form=True)


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated")
def test_the_dashboard_serves_https_with_a_secure_cookie_and_uses_a_renewed_certificate(start, files, trusting, user_path):
    server = start("--users", str(user_path), "--tls-cert", str(files.cert), "--tls-key", str(files.key))
    dashboard = Dashboard(server, user_path, tls=trusting)
    assert server.url.startswith("https://")
    answer = dashboard.log_in()
    assert answer.cookie.startswith("__Host-")
    assert "Secure" in answer.headers["Set-Cookie"]
    assert dashboard.ask("/", {"Cookie": answer.cookie}).status == 200
    old_and_plain_are_refused(dashboard)
    assert server.log_text() == ""
    before = certificate_of(trusting, dashboard)
    files.renew()
    server.reload()
    eventually(lambda: certificate_of(trusting, dashboard) != before)
    assert dashboard.ask("/", {"Cookie": answer.cookie}).status == 200
    files.key.write_text("damaged")
    server.reload()
    eventually(lambda: "the former certificate stays in use" in server.log_text())
    assert dashboard.ask("/healthz").status == 200
    files.renew()


def old_and_plain_are_refused(dashboard: Dashboard) -> None:
    name, port = dashboard.host.split(":")
    with socket.create_connection((name, int(port)), timeout=10) as plain, contextlib.suppress(ConnectionError):
        plain.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"200" not in plain.recv(100)
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.set_ciphers("ALL:@SECLEVEL=0")
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    with socket.create_connection((name, int(port)), timeout=10) as plain, pytest.raises((ssl.SSLError, OSError)):
        old.wrap_socket(plain)


def send(url: str, trusting: ssl.SSLContext) -> None:
    message = {"v": 1, "peer_id": "p", "session_id": "s", "seq": 0, "event": "join", "sent_ms": time.time_ns() // 1_000_000}
    body = ORIGIN + json.dumps(message).encode()[1:] + b"\n"
    headers = {"Content-Type": routes.NDJSON, routes.BATCH_HEADER: f"{1:032x}"}
    asked = urllib.request.Request(url + routes.RECORDS, body, headers)
    with urllib.request.urlopen(asked, timeout=10, context=trusting) as answer:
        assert json.loads(answer.read())["stored"] == 1


def peers(monitor) -> int:
    with urllib.request.urlopen(f"{monitor.url}/api/v1/summary", timeout=60) as answer:
        return json.loads(answer.read())["peers"]


async def look(url: str, tls: Tls) -> None:
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        await FeedbackServerClient(session, checked_url(url), "", tls).catalogue(after=None, wait_s=0, unless=None)


def test_a_feedback_server_is_verified_and_gets_a_client_certificate(serve, files, trusting, tmp_path):
    tls = ("--tls-cert", str(files.cert), "--tls-key", str(files.key), "--tls-client-ca", str(files.ca))
    storing = serve(
        "feedback-server", "--insecure", "--listen", "127.0.0.1:0", "--data", str(tmp_path / "fs"), "--name", "fs1", *tls
    )
    assert storing.url.startswith("https://")
    trusting.load_cert_chain(files.cert, files.key)
    send(storing.url, trusting)
    polling = ("--feedback-server", storing.url, "--insecure", "--listen", "127.0.0.1:0", "--poll-seconds", "1")
    shown = ("--tls-client-cert", str(files.cert), "--tls-client-key", str(files.key))
    trusted = serve("monitor", *polling, "--mirror", str(tmp_path / "a"), "--tls-ca", str(files.ca), *shown)
    eventually(lambda: peers(trusted) == 1)
    presented = key_pair("--tls-client", files.cert, files.key)
    asyncio.run(look(storing.url, Tls(ca=files.ca, presented=presented)))
    for refused in (Tls(ca=files.ca), Tls(presented=presented)):
        with pytest.raises(aiohttp.ClientError):
            asyncio.run(look(storing.url, refused))


@pytest.mark.parametrize(
    ("flag", "advice"), [("--tls-cert", "cannot be used"), ("--tls-ca", "cannot be used"), ("--users", "cannot")]
)
def test_unusable_files_are_named_at_startup(tmp_path, flag, advice):
    wrong = tmp_path / "wrong.pem"
    wrong.write_text("nonsense")
    with pytest.raises(ValueError, match=f"{flag} |{wrong}"):
        Users(wrong) if flag == "--users" else Tls(ca=wrong) if flag == "--tls-ca" else Tls(key_pair("--tls", wrong, wrong))


def test_the_monitor_warns_of_an_expired_certificate_at_startup_and_after_each_renewal(start, files, user_path):
    files.renew(not_after=datetime.now(UTC) - timedelta(days=1))
    server = start("--users", str(user_path), "--tls-cert", str(files.cert), "--tls-key", str(files.key))
    assert server.log_text().count("expired at") == 1
    files.renew(not_after=datetime.now(UTC) + timedelta(days=2))
    server.reload()
    eventually(lambda: server.log_text().count("expires at") == 1)


def test_the_monitor_reads_the_authorities_of_feedback_servers_again_on_hup(serve, files, trusting, tmp_path):
    listening = ("--tls-cert", str(files.cert), "--tls-key", str(files.key), "--listen", "127.0.0.1:0")
    storing = serve("feedback-server", "--insecure", "--data", str(tmp_path / "fs"), "--name", "fs1", *listening)
    send(storing.url, trusting)
    trusted = tmp_path / "trusted.pem"
    trustme.CA().cert_pem.write_to_path(trusted)
    polling = ("--feedback-server", storing.url, "--insecure", "--listen", "127.0.0.1:0", "--poll-seconds", "1")
    monitor = serve("monitor", *polling, "--mirror", str(tmp_path / "mirror"), "--tls-ca", str(trusted))
    eventually(lambda: "certificate verify failed" in monitor.log_text())
    trusted.write_bytes(files.ca.read_bytes())
    monitor.reload()
    eventually(lambda: peers(monitor) == 1)


def test_a_removed_authority_no_longer_verifies_a_feedback_server(files, serve, tmp_path):
    listening = ("--tls-cert", str(files.cert), "--tls-key", str(files.key), "--listen", "127.0.0.1:0")
    storing = serve("feedback-server", "--insecure", "--data", str(tmp_path / "fs"), "--name", "fs1", *listening)
    trusted = tmp_path / "trusted.pem"
    trusted.write_bytes(files.ca.read_bytes())
    tls = Tls(ca=trusted)
    asyncio.run(look(storing.url, tls))
    trustme.CA().cert_pem.write_to_path(trusted)
    tls.renew()
    with pytest.raises(aiohttp.ClientConnectorCertificateError):
        asyncio.run(look(storing.url, tls))
