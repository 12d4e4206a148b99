"""A node's membership in the overlay: the connection to the bootstrapper, and the node's requests there."""

import asyncio
import logging
import random
import secrets
import time
from collections import Counter
from collections.abc import Callable

from overlay.control import ControlConnection, HandshakeFailedError, TlsFailedError, TlsTo, backoff_s, perform_handshake
from overlay.handshake_side import Connecting, Identity
from overlay.messages import (
    Body,
    Control,
    Error,
    FilesOffer,
    GeneralMessage,
    Leave,
    ListOffers,
    Pause,
    Ping,
    Play,
    ProtocolError,
    Subscribe,
)
from overlay.node_settings import NodeSettings, StreamChoice
from overlay.proofs import NONCE_BYTES
from serving.listening import reason_of

LIST_S = 10.0

log = logging.getLogger(__name__)

ADVICE = {
    "wrong_proof": "the key is not that of this node; make it with: swarmscope overlay key {node} --secret FILE",
    "unknown_node": "the topology file of the bootstrapper has no node {node!r}; add it there, or correct the name",
    "clock_differs": "the clocks of the node and the bootstrapper differ by more than 30 s; set them",
    "timeout": "the bootstrapper does not answer; is it another server, or does one side use TLS and the other not?",
    "unreadable_message": "the answer is not that of a bootstrapper; check its address, and whether it uses TLS",
    "closed": "the bootstrapper has closed the connection; check its address, and whether it uses TLS",
    "other_version": "the bootstrapper has another version; use the same one",
}


def advice(error: Exception, node: str) -> str:
    """Why a node could not join, and what to do."""
    if isinstance(error, TlsFailedError):
        return f"TLS with the bootstrapper fails ({error}); check --tls-ca, the name in --bootstrapper, and whether it uses TLS"
    why = f"no connection to the bootstrapper: {reason_of(error)}" if isinstance(error, OSError) and error.errno else str(error)
    return ADVICE.get(getattr(error, "reason", ""), why).format(node=node)


async def join(settings: NodeSettings, me: Identity) -> tuple[ControlConnection, Connecting]:
    """Connect to the bootstrapper and prove the name. OSError or HandshakeFailedError if this fails."""
    host, port = settings.bootstrapper
    tls = TlsTo(settings.tls.link, host) if settings.tls is not None else None
    connection = await ControlConnection.open(host, port, local_host=settings.host, tls=tls)
    side = Connecting(me, key=settings.key, nonce=secrets.token_bytes(NONCE_BYTES))
    await perform_handshake(connection, side)
    return connection, side


async def offers_at_bootstrapper(settings: NodeSettings) -> list[FilesOffer]:
    """The streams of the overlay, with the files that players can choose. ConnectionError, with advice, if this fails."""
    visitor = Identity(node=settings.name, tcp_port=0, udp_port=0)  # no ports: no member
    offers: list[FilesOffer] = []
    try:
        async with asyncio.timeout(LIST_S):
            connection, _ = await join(settings, visitor)
            connection.send(GeneralMessage(node=settings.name, body=ListOffers()))
            while (message := await connection.receive()) is not None:
                if isinstance(message, GeneralMessage) and isinstance(message.body, FilesOffer):
                    offers.append(message.body)
                    if message.body.left == 0:
                        break
            connection.close()
    except TimeoutError:
        raise ConnectionError("the bootstrapper does not list its streams; it may be an earlier version") from None
    except (OSError, HandshakeFailedError, ProtocolError) as error:
        raise ConnectionError(advice(error, settings.name)) from error
    return offers


class Membership:
    """Connects again whenever the connection is lost. `on_message` gets the messages that this class does not handle."""

    def __init__(
        self,
        settings: NodeSettings,
        counts: Counter[str],
        on_message: Callable[[Control, Connecting], None],
        on_refused: Callable[[str, str], None] | None = None,
    ) -> None:
        self.joined = asyncio.Event()
        self.connection: ControlConnection | None = None
        self._settings, self._counts, self._on_message, self._on_refused = settings, counts, on_message, on_refused
        self._choices = {choice.name: choice for choice in settings.plays}
        self._paused: set[str] = set()
        self._left = False
        self._joined_s = 0.0
        self._warned = ""

    async def keep(self, me: Identity) -> None:
        """Stay joined until `leave`, or until cancelled."""
        attempt = 0
        while not self._left:
            try:
                connection, side = await join(self._settings, me)
                attempt, self._warned = 0, ""
                await self._serve(connection, side)
            except (OSError, HandshakeFailedError, ProtocolError) as error:
                self._counts[f"not_joined_{getattr(error, 'reason', type(error).__name__)}"] += 1
                self._warn(error)
            self.connection = None
            await asyncio.sleep(backoff_s(attempt, random.random()))  # noqa: S311 - no secret
            attempt += 1

    def _warn(self, error: Exception) -> None:
        """Log each reason once why the node cannot join. The node tries again."""
        text = advice(error, self._settings.name)
        if text != self._warned:
            log.warning("%s cannot join, and tries again: %s", self._settings.name, text)
        self._warned = text

    async def _serve(self, connection: ControlConnection, side: Connecting) -> None:
        self.connection, self._joined_s = connection, time.monotonic()
        if side.speers is not None:
            self._on_message(side.speers, side)
        for stream, files in self._settings.originates.items():
            if files:
                self.send_message(FilesOffer(stream=stream, files=list(files)))
        for choice in self._settings.plays:
            if choice.name not in self._paused:
                self.send_message(Subscribe(stream=choice.stream, file=choice.file))
        self.joined.set()
        try:
            while (message := await connection.receive()) is not None:
                body = message.body if isinstance(message, GeneralMessage) else None
                if isinstance(message, Ping) and not message.answer:
                    connection.send(Ping(node=self._settings.name, number=message.number, answer=True))
                elif isinstance(body, Error) and body.stream is not None:
                    self._refused(StreamChoice(stream=body.stream, file=body.file), body.reason)
                else:
                    self._on_message(message, side)
        finally:
            connection.close()

    def joined_since(self, moment_s: float, now_s: float) -> float:
        """For how many seconds since a moment the node has been joined without a break; 0 if it is not.

        A bootstrapper that was started again knows a neighbour only when that one has joined too.
        """
        return now_s - max(moment_s, self._joined_s) if self.connection is not None else 0.0

    def _refused(self, choice: StreamChoice, reason: str) -> None:
        self._counts["streams_refused"] += 1
        if self._on_refused is not None:
            self._on_refused(choice.name, reason)

    def send_message(self, body: Body) -> None:
        """Send a message, if there is a connection."""
        if self.connection is not None:
            self.connection.send(GeneralMessage(node=self._settings.name, body=body))

    def leave(self, body: Leave) -> None:
        """Leave permanently. The bootstrapper then closes the connection."""
        self._left = True
        self.send_message(body)

    def pause(self, name: str) -> None:
        """Stop receiving a stream until `play`."""
        choice = self._choices[name]
        self._paused.add(name)
        self.send_message(Pause(stream=choice.stream, file=choice.file))

    def play(self, name: str) -> None:
        """Receive a stream again, from now on."""
        choice = self._choices[name]
        self._paused.discard(name)
        self.send_message(Play(stream=choice.stream, file=choice.file))
