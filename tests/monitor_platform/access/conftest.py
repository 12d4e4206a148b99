"""A dashboard with users, and a plain HTTP client, from any address of loopback."""

import hashlib
import http.client
import json
import ssl
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
import trustme

from monitor_platform.access import user_file
from monitor_platform.access.passwords import Hash
from monitor_platform.access.roles import UserRole
from tests.harness.processes import Server, run_swarmscope, start_server
from tests.monitor_platform.dashboard.conftest import recorded  # noqa: F401 - the same audience

NAME, PASSWORD = "王小明", "correct horse battery"
PROXY, ELSEWHERE = "127.0.0.1", "127.0.0.2"
"""The first is the trusted proxy of the tests, the second is not."""


def users(*arguments: str, password: str = "") -> subprocess.CompletedProcess[str]:
    """Run `swarmscope users` with the password on standard input."""
    return run_swarmscope("users", *arguments, stdin=password + "\n", timeout_s=30)


def add_user(path: Path, name: str, password: str, role: UserRole | None = None) -> None:
    """Add a user with a very cheap hash: tests log in often."""
    digest = hashlib.scrypt(password.encode(), salt=b"s" * 16, n=2, r=1, p=1, dklen=16)
    user_file.put(path, name, Hash(cost=2, block=1, parallel=1, salt=b"s" * 16, digest=digest), role)


@dataclass
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def cookie(self) -> str:
        return (self.headers["Set-Cookie"] or "").split(";")[0]

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Dashboard:
    """A running dashboard."""

    server: Server
    users: Path
    tls: ssl.SSLContext | None = None

    @property
    def host(self) -> str:
        return urlsplit(self.server.url).netloc

    def ask(
        self,
        path: str,
        headers: dict[str, str] | None = None,
        *,
        method: str = "GET",
        body: str | None = None,
        peer: str = ELSEWHERE,
    ) -> Answer:
        """One request on a connection of its own, from the address `peer`."""
        name, port = self.host.split(":")
        if self.tls is None:
            connection = http.client.HTTPConnection(name, int(port), timeout=20, source_address=(peer, 0))
        else:
            connection = http.client.HTTPSConnection(name, int(port), timeout=20, source_address=(peer, 0), context=self.tls)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read())
        finally:
            connection.close()

    def log_in(
        self, name: str = NAME, password: str = PASSWORD, *, peer: str = ELSEWHERE, wanted: str = "/", **headers: str
    ) -> Answer:
        body = urlencode({"name": name, "password": password, "next": wanted})
        sent = {"Content-Type": "application/x-www-form-urlencoded"} | {
            key.replace("_", "-"): value for key, value in headers.items()
        }
        return self.ask("/login", sent, method="POST", body=body, peer=peer)

    def counted(self, name: str, cookie: str) -> float:
        """A metric, 0 if it is absent."""
        for line in self.ask("/metrics", {"Cookie": cookie}).body.decode().splitlines():
            if line.startswith(f"{name} "):
                return float(line.split()[-1])
        return 0.0


@pytest.fixture(scope="module")
def user_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("users") / "users.txt"
    add_user(path, NAME, PASSWORD)
    return path


@pytest.fixture(scope="module")
def start(recorded: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Server]]:  # noqa: F811
    """Start a dashboard of the recorded audience."""
    servers: list[Server] = []

    def start(*arguments: str) -> Server:
        log = tmp_path_factory.mktemp("log") / "log"
        servers.append(start_server("monitor", "--static", str(recorded), "--listen", "127.0.0.1:0", *arguments, log=log))
        return servers[-1]

    yield start
    for server in servers:
        assert server.stop() == 0


@pytest.fixture(scope="module")
def dashboard(start: Callable[..., Server], user_path: Path) -> Iterator[Dashboard]:
    """A dashboard with users, behind a proxy that may name users too."""
    server = start("--users", str(user_path), "--trusted-user-header", "X-Forwarded-User", "--trusted-proxy", f"{PROXY}/32")
    yield Dashboard(server, user_path)
    # No request of the tests is an error of the dashboard, and no password is in the log.
    assert server.log_text() == ""


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def files(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> "Files":
    return Files(authority, tmp_path_factory.mktemp("tls"))


class Files:
    """A certificate for 127.0.0.1 and its authority, as files."""

    def __init__(self, authority: trustme.CA, folder: Path) -> None:
        self.authority = authority
        self.cert, self.key, self.ca = folder / "cert.pem", folder / "key.pem", folder / "ca.pem"
        authority.cert_pem.write_to_path(self.ca)
        self.renew()

    def renew(self, name: str = "127.0.0.1", *, not_after: datetime | None = None) -> None:
        issued = self.authority.issue_cert(name, not_after=not_after)
        issued.private_key_pem.write_to_path(self.key)
        self.cert.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
