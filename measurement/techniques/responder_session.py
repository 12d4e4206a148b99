"""The agent's side of a session with the responder of the destination: the destination's consent, and what it received."""

import socket
from types import TracebackType
from typing import Self, TypeVar

import msgspec

from measurement.operation import Technique
from measurement.outcome import Status
from measurement.responder_protocol import (
    MOST_LINE_BYTES,
    USUAL_PORT,
    Challenge,
    Collect,
    Opened,
    Opening,
    Purpose,
    ReflectorCount,
    Refused,
    ToAgent,
    TrainArrivals,
    line,
    proof,
)
from measurement.techniques.task import NotMeasured, Task

Message = TypeVar("Message", Challenge, Opened, TrainArrivals, ReflectorCount)
ANSWER_WITHIN_S = 2.8


class TrainSession:
    """A connection to the responder. NotMeasured if there is none, or if it does not accept the token."""

    def __init__(self, task: Task, purpose: Purpose, *, token: str, port: int | None = None) -> None:
        self.task = task
        self.port = task.port(USUAL_PORT) if port is None else port
        technique = task.operation.technique
        if not token:
            raise NotMeasured(Status.REFUSED, _needs_consent(technique))
        self._buffer = b""
        self._sock = _connected(task, self.port, technique)
        try:
            challenge = self._read(Challenge)
            self._send(Opening(proof=proof(token, challenge.nonce), purpose=purpose, technique=technique))
            self.session_id = bytes.fromhex(self._read(Opened).session)
        except BaseException:
            self._sock.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._sock.close()

    def arrivals(self, train: int, packets: int) -> list[tuple[int, int]]:
        """When the packets of a train arrived, in ns since the first one."""
        self._send(Collect(train, packets))
        return self._read(TrainArrivals).arrivals

    def reflected(self, packets: int) -> ReflectorCount:
        """What the responder counted."""
        self._send(Collect(-1, packets))
        return self._read(ReflectorCount)

    def check_open(self) -> None:
        """NotMeasured if the destination has ended its consent."""
        self._sock.setblocking(False)
        try:
            if not self._sock.recv(1, socket.MSG_PEEK):
                raise NotMeasured(Status.REFUSED, "the responder of the destination ended the session")
        except BlockingIOError:
            pass
        finally:
            self._sock.settimeout(ANSWER_WITHIN_S)

    def _send(self, message: Opening | Collect) -> None:
        self._sock.sendall(line(message))

    def _read(self, kind: type[Message]) -> Message:
        while b"\n" not in self._buffer:
            try:
                received = self._sock.recv(65_536)
            except TimeoutError:
                raise NotMeasured(Status.TIMEOUT_TARGET, "the responder of the destination does not answer") from None
            if not received or len(self._buffer) > MOST_LINE_BYTES:
                raise NotMeasured(Status.UNREACHABLE, "the responder of the destination ended the connection")
            self._buffer += received
        first, _, self._buffer = self._buffer.partition(b"\n")
        try:
            message = msgspec.json.decode(first, type=ToAgent)
        except (ValueError, RecursionError):
            raise NotMeasured(Status.REFUSED, f"what listens on port {self.port} is not a responder") from None
        if isinstance(message, Refused):
            raise NotMeasured(Status.REFUSED, f"the responder of the destination refuses: {message.reason}")
        if not isinstance(message, kind):
            raise NotMeasured(Status.REFUSED, "the responder of the destination answers something else")
        return message


def _needs_consent(technique: Technique) -> str:
    return (
        f"{technique} loads the path, so the destination has to consent: run `swarmscope measurement-responder` there, and give "
        "its token with `--consent`"
    )


def _connected(task: Task, port: int, technique: Technique) -> socket.socket:
    sock = task.socket(socket.SOCK_STREAM)
    sock.settimeout(ANSWER_WITHIN_S)
    try:
        sock.connect((task.address, port))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except TimeoutError:
        sock.close()
        raise NotMeasured(Status.TIMEOUT_TARGET, f"port {port} of the destination does not answer") from None
    except ConnectionRefusedError:
        sock.close()
        reason = f"no responder listens on port {port} of the destination. {_needs_consent(technique)}"
        raise NotMeasured(Status.REFUSED, reason) from None
    except BaseException:
        sock.close()
        raise
    return sock
