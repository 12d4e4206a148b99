"""For tests of an app that embeds the SDK: in-memory coordinators with scripted failures, and a clock that tests advance."""

import json
import threading
import time
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from endhost_sdk.forks import resets_after_fork
from endhost_sdk.transport import Answer, Unreachable
from feedback_wire.message import Message

__all__ = ["Answer", "HandClock", "RecordingTransport", "Request", "Unreachable"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request as a coordinator would receive it, and its answer. `answer` is None if there was none."""

    url: str
    headers: Mapping[str, str]
    messages: list[Message]
    answer: Answer | None


@dataclass(slots=True, weakref_slot=True, eq=False)
class RecordingTransport:
    """In-memory coordinators that record each request. They give the answers of `script` first, and then accept each message.

    transport = RecordingTransport(script=[Unreachable("down"), Answer(status=503, retry_after="1")])
    telemetry = Telemetry("https://coordinator.test", transport=transport)
    """

    script: Iterable[Answer | Unreachable] = ()
    requests: list[Request] = field(default_factory=list)
    _arrived: threading.Condition = field(default_factory=threading.Condition, init=False, repr=False)

    def __post_init__(self) -> None:
        self.script = iter(tuple(self.script))
        resets_after_fork(self)

    def reset_after_fork(self) -> None:
        """In a forked child, discard the requests of the parent."""
        self._arrived = threading.Condition()
        self.requests = []

    @property
    def messages(self) -> list[Message]:
        """The accepted messages in order of arrival."""
        accepted = [request for request in self.requests if request.answer is not None and 200 <= request.answer.status < 300]
        return [message for request in accepted for message in request.messages]

    def wait_for(self, messages: int, *, within_s: float = 5.0) -> list[Message]:
        """Wait for this number of accepted messages and return them; AssertionError if they do not arrive `within_s`."""
        deadline_s = time.monotonic() + within_s
        with self._arrived:
            while len(self.messages) < messages:
                if not self._arrived.wait(max(deadline_s - time.monotonic(), 0)):
                    raise AssertionError(f"{len(self.messages)} of {messages} messages were accepted within {within_s:g} s")
        return self.messages

    def post(self, url: str, body: bytes, headers: Mapping[str, str], timeout_s: float) -> Answer:
        """Record a request and return the next answer."""
        plain = zlib.decompress(body, wbits=31) if headers.get("Content-Encoding") == "gzip" else body
        messages = [json.loads(line) for line in plain.splitlines()]
        scripted = next(iter(self.script), None)
        answer = scripted or Answer(status=202, body=json.dumps({"accepted": len(messages)}).encode())
        with self._arrived:
            recorded = None if isinstance(answer, Unreachable) else answer
            self.requests.append(Request(url=url, headers=dict(headers), messages=messages, answer=recorded))
            self._arrived.notify_all()
        if isinstance(answer, Unreachable):
            raise answer
        return answer

    def close(self) -> None:
        """Nothing to close."""


class HandClock:
    """A clock that only moves when a test advances it: `Session(peer_id="p", clock=HandClock())`."""

    def __init__(self, *, wall_ms: int = 1_344_330_000_000) -> None:
        self._monotonic_s = 0.0
        self._wall_ms = wall_ms
        self._stops: list[tuple[float, float]] = []

    def move(self, seconds: float) -> None:
        self._monotonic_s += seconds
        self._wall_ms += round(seconds * 1000)

    def stop(self, seconds: float) -> None:
        """Advance the time as if the process did not run, as after SIGSTOP."""
        self._stops.append((self._monotonic_s, self._monotonic_s + seconds))
        self.move(seconds)

    def monotonic_s(self) -> float:
        return self._monotonic_s

    def stopped_s(self, since_s: float) -> float:
        return sum(max(until_s - max(from_s, since_s), 0.0) for from_s, until_s in self._stops)

    def wall_ms(self) -> int:
        return self._wall_ms
