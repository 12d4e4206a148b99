"""Control connections with TLS: to the bootstrapper and between neighbours, and clear errors where one side has none."""

import asyncio
import logging
from pathlib import Path

import pytest
import trustme

from overlay.control import ControlConnection
from overlay.messages import GeneralMessage, Leave
from overlay.node_settings import StreamChoice
from serving.tls import KeyPair, Tls
from tests.overlay.one_process import swarm_of, until

NEWS = StreamChoice(stream="news")
TOPOLOGY = {
    "s": {"neighbors": ["r"], "role": "source"},
    "r": {"neighbors": ["p", "plain"]},
    "p": {"neighbors": [], "role": "player"},
    "plain": {"neighbors": [], "role": "player"},
    "streams": {"news": {"source": "s"}},
}


class Certificates:
    """An authority, and TLS with a certificate for a name."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.authority = folder, trustme.CA()
        self.authority.cert_pem.write_to_path(str(folder / "ca.pem"))

    def tls(self, *names: str) -> Tls:
        cert, key = self.folder / f"{names[0]}.pem", self.folder / f"{names[0]}.key"
        issued = self.authority.issue_cert(*names)
        issued.private_key_pem.write_to_path(str(key))
        cert.write_bytes(b"".join(part.bytes() for part in issued.cert_chain_pems))
        return Tls(KeyPair(flags="--tls", cert=cert, key=key), ca=self.folder / "ca.pem")


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return Certificates(tmp_path)


def test_a_swarm_with_tls_streams_and_refuses_a_node_without_tls_with_the_reason(
    certificates: Certificates, caplog: pytest.LogCaptureFixture
):
    async def scenario() -> None:
        async with swarm_of(TOPOLOGY, certificates.tls("127.0.0.1")) as swarm:
            swarm.start("s", originates={"news": ()}, tls=certificates.tls("s"))
            swarm.start("r", tls=certificates.tls("r"))
            swarm.start("p", NEWS, tls=certificates.tls("p"))
            await until(lambda: ("p", "news") in swarm.received)
            assert all(node.counts["neighbor_failed_tls"] == 0 for node in swarm.nodes.values())
            plain = swarm.start("plain", NEWS)
            await until(lambda: plain.counts["not_joined_closed"] and swarm.bootstrapper.counts["refused_tls"])
            contact = swarm.nodes["p"].neighbors["r"].contact
            stranger = await ControlConnection.open("127.0.0.1", contact.tcp_port)  # a control message in the clear
            stranger.send(GeneralMessage(node="p", body=Leave()))
            assert await stranger.receive() is None
            assert swarm.nodes["r"].counts["refused_tls"] == 1

    with caplog.at_level(logging.WARNING):
        asyncio.run(scenario())
    assert "plain cannot join, and tries again: the bootstrapper has closed the connection; check its address" in caplog.text
    assert "whether it uses TLS" in caplog.text


def test_a_certificate_of_another_authority_or_for_another_name_is_not_accepted(
    certificates: Certificates, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    (tmp_path / "other").mkdir()
    stranger = Certificates(tmp_path / "other")

    async def scenario() -> None:
        async with swarm_of(TOPOLOGY, certificates.tls("127.0.0.1")) as swarm:
            alone = swarm.start("plain", tls=stranger.tls("plain"))
            await until(lambda: alone.counts["not_joined_tls"])
            swarm.start("p", tls=certificates.tls("p"))
            swarm.start("r", tls=certificates.tls("x"))  # it cannot be reached under its own name
            await until(lambda: swarm.nodes["p"].counts["neighbor_failed_tls"])
            assert swarm.nodes["p"].neighbors["r"].connection is None

    with caplog.at_level(logging.WARNING):
        asyncio.run(scenario())
    assert "TLS with the bootstrapper fails (unable to get local issuer certificate); check --tls-ca" in caplog.text
    assert "TLS with the neighbour r fails: Hostname mismatch" in caplog.text


def test_a_node_with_tls_and_a_bootstrapper_without_it_do_not_connect(certificates: Certificates):
    async def scenario() -> None:
        async with swarm_of(TOPOLOGY) as swarm:
            node = swarm.start("p", tls=certificates.tls("p"))
            await until(lambda: node.counts["not_joined_tls"])
            assert swarm.bootstrapper.counts["refused_unreadable_message"] > 0

    asyncio.run(scenario())
