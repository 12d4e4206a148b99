"""SIP_OPTIONS and SIP_INVITE: whether a SIP server answers, and how fast (RFC 3261, RFC 6076).

Any final response means that the server is reachable, also 404 or 486. An INVITE makes phones ring, so the agent's settings list
the destinations to which it is allowed, and the call is always cleaned up.
"""

import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from measurement.outcome import Status, Value
from measurement.technique_parameters import SipParameters
from measurement.techniques.kernel_sockets import wait_readable
from measurement.techniques.sip_messages import SipRequest, SipResponse, read_response
from measurement.techniques.task import Findings, NotMeasured, Task, values_of

PORT = 5060
T1_S, T2_S = 0.5, 4.0
"""The first and the longest interval of repetitions."""
CLEAN_UP_S = 2.0
MOST_BYTES = 65_536


@dataclass(slots=True)
class _Transaction:
    """The requests of one operation, and the responses to them."""

    task: Task
    parameters: SipParameters
    sock: socket.socket
    end: float
    sent_at: list[float] = field(default_factory=list)
    """Of the first request and its repetitions."""
    _stream: bytes = b""

    @property
    def repeats(self) -> bool:
        """TCP repeats lost bytes itself."""
        return self.parameters.transport == "udp"

    def request(self, method: str) -> SipRequest:
        host, port = self.sock.getsockname()[:2]
        local = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        uri = self.parameters.uri or f"sip:{self.task.destination.host}"
        return SipRequest(method=method, uri=uri, local=local, transport=self.parameters.transport)

    def send(self, request: SipRequest) -> None:
        try:
            self.sock.send(request.text())
        except ConnectionRefusedError:
            raise NotMeasured(Status.UNREACHABLE, "the destination answers that no SIP server listens on this port") from None

    def run(self, request: SipRequest, seen: Callable[[SipResponse], bool], *, end: float) -> SipResponse | None:
        """Send a request, repeat it until a response comes, and return the response at which `seen` is true; None at the end."""
        interval, next_send, answered = T1_S, 0.0, False
        while (now := time.monotonic()) < end and not self.task.expired():
            if now >= next_send and not answered and (self.repeats or not self.sent_at or next_send == 0):
                self.send(request)
                self.sent_at.append(now)
                next_send, interval = now + interval, min(2 * interval, T2_S if request.method != "INVITE" else 32.0)
            pause = end - now if answered or not self.repeats else min(next_send, end) - now
            for response in self.receive(pause):
                if response.answers(request):
                    answered = True
                    if seen(response):
                        return response
        return None

    def receive(self, pause_s: float) -> list[SipResponse]:
        """The responses that arrive within a pause, at least until the first one."""
        wait_readable([self.sock], min(pause_s, self.task.left_s()))
        try:
            data = self.sock.recv(MOST_BYTES)
        except BlockingIOError:
            return []
        except ConnectionRefusedError:
            raise NotMeasured(Status.UNREACHABLE, "the destination answers that no SIP server listens on this port") from None
        if self.repeats:
            response = read_response(data)
            return [] if response is None else [response]
        if not data:
            raise NotMeasured(Status.PARTIAL, "the server accepts the connection and ends it without a SIP response")
        self._stream += data
        *complete, self._stream = self._stream.split(b"\r\n\r\n")
        self._stream = self._stream[-MOST_BYTES:]
        return [response for text in complete if (response := read_response(text + b"\r\n\r\n"))]


def _opened(task: Task, parameters: SipParameters) -> _Transaction:
    sock = task.socket(socket.SOCK_DGRAM if parameters.transport == "udp" else socket.SOCK_STREAM)
    end = time.monotonic() + parameters.timeout_ms / 1e3
    try:
        sock.settimeout(parameters.timeout_ms / 1e3)
        sock.connect((task.address, task.port(PORT)))
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return _Transaction(task, parameters, sock, end)


def sip_options(task: Task, parameters: SipParameters) -> Findings:
    """Ask what the server can do, which every server answers."""
    transaction = _opened(task, parameters)
    with transaction.sock:
        times: dict[str, float | None] = {"provisional_ms": None}

        def seen(response: SipResponse) -> bool:
            _note(transaction, times, "response_ms" if response.code >= 200 else "provisional_ms")
            return response.code >= 200

        response = transaction.run(transaction.request("OPTIONS"), seen, end=transaction.end)
    return _findings(transaction, times, response)


def _note(transaction: _Transaction, times: dict[str, float | None], name: str) -> None:
    """Note the time since the first request, once for each name."""
    if times.get(name) is None:
        times[name] = (time.monotonic() - transaction.sent_at[0]) * 1e3


def _findings(transaction: _Transaction, times: dict[str, float | None], response: SipResponse | None) -> Findings:
    repeated = len(transaction.sent_at) - 1
    values = [*values_of(times), Value(name="retransmissions", value=float(repeated))]
    if response is None:
        reason = f"no final response to {repeated + 1} requests within {transaction.parameters.timeout_ms} ms"
        some = any(value is not None for value in times.values())
        raise NotMeasured(Status.PARTIAL if some else Status.TIMEOUT_TARGET, reason, values)
    values.append(Value(name="sip_status", value=float(response.code)))
    if repeated:  # Karn: the response may answer any of them
        reason = f"the request was sent {repeated + 1} times; the time is that since the first"
        return Findings(values=values, degraded=True, reason=reason)
    return Findings(values=values)


def sip_invite(task: Task, parameters: SipParameters) -> Findings:
    """Call, wait until the phone rings or the call is answered or refused, and end the call."""
    if not {task.destination.name, task.destination.address} & set(task.settings.invite_destinations):
        reason = f"SIP_INVITE makes phones ring; {task.destination.name} is not on the agent's list of destinations for it"
        raise NotMeasured(Status.REFUSED, reason)
    transaction = _opened(task, parameters)
    with transaction.sock:
        times: dict[str, float | None] = {"trying_ms": None}

        def seen(response: SipResponse) -> bool:
            # RFC 6076: the session request delay ends with the first response after 100.
            _note(transaction, times, "trying_ms" if response.code == 100 else "session_request_delay_ms")
            return response.code > 100

        request = transaction.request("INVITE")
        response = transaction.run(request, seen, end=transaction.end)
        sent = list(transaction.sent_at)
        cleaned = _end_call(transaction, request, response, trying=times["trying_ms"] is not None)
        transaction.sent_at = sent
    if not cleaned:
        times["clean_up_failed"] = 1.0
    return _findings(transaction, times, response)


def _end_call(transaction: _Transaction, request: SipRequest, response: SipResponse | None, *, trying: bool) -> bool:
    """Leave no call behind. False if the server did not confirm the end."""
    end = time.monotonic() + CLEAN_UP_S
    final = response if response is not None and response.code >= 200 else None
    if final is None:
        if response is None and not trying:
            return True  # CANCEL is not allowed before a provisional response (9.1), and nothing rings
        final = _cancelled(transaction, request, end)
        if final is None:
            return False
    accepted = final.code < 300
    transaction.send(request.acknowledgement(accepted=accepted, to_tag=final.to_tag))
    if not accepted:
        return True
    return transaction.run(request.bye(to_tag=final.to_tag), lambda each: each.code >= 200, end=end) is not None


def _cancelled(transaction: _Transaction, request: SipRequest, end: float) -> SipResponse | None:
    """Cancel, and wait for the final response to the INVITE: 487, or 200 if the phone was answered meanwhile."""
    cancel = request.cancel()
    transaction.send(cancel)
    next_send, interval = time.monotonic() + T1_S, 2 * T1_S
    while (now := time.monotonic()) < end:
        if transaction.repeats and now >= next_send:
            transaction.send(cancel)
            next_send, interval = now + interval, 2 * interval
        for response in transaction.receive(min(next_send, end) - now):
            if response.answers(request) and response.code >= 200:
                return response
    return None
