"""DNS: a query to the destination, over our own sockets, so that no repetition is hidden in the time. Messages by dnspython."""

import socket
import struct
import time
from dataclasses import dataclass, field

import dns.exception
import dns.flags
import dns.message
import dns.rcode

from measurement.outcome import Status, Value
from measurement.technique_parameters import DnsParameters, ParameterError
from measurement.techniques.kernel_sockets import receive_all, send_now, stamp_arrivals, wait_readable, waited_ms
from measurement.techniques.task import Findings, NotMeasured, Task, values_of

PORT = 53
EDNS_BYTES = 1232
"""The size that passes every path without fragments (DNS flag day 2020)."""
LENGTH = struct.Struct("!H")


@dataclass(slots=True)
class _Query:
    task: Task
    parameters: DnsParameters
    message: dns.message.QueryMessage
    times_ms: dict[str, float | None] = field(default_factory=dict)
    retries: int = 0
    truncated: bool = False


def dns_query(task: Task, parameters: DnsParameters) -> Findings:
    """Ask by UDP, and by TCP if the answer is truncated or the parameters say so."""
    try:
        message = dns.message.make_query(parameters.name, parameters.type, use_edns=0, payload=EDNS_BYTES)
    except (dns.exception.DNSException, UnicodeError) as error:
        raise ParameterError(f"DNS: {parameters.name!r} is not a domain name: {error}") from error
    query, begin = _Query(task, parameters, message), time.monotonic()
    answer = None if parameters.protocol == "tcp" else _by_udp(query)
    if answer is None or (query.truncated and parameters.protocol == "auto"):
        answer = _by_tcp(query)
    query.times_ms["total_ms"] = (time.monotonic() - begin) * 1e3
    return _findings(query, answer)


def _findings(query: _Query, answer: dns.message.Message) -> Findings:
    code = answer.rcode()
    text = dns.rcode.to_text(code)
    values = [
        *_timing(query),
        Value(name="rcode", value=float(code), method=text),
        *values_of({"answers": sum(len(each) for each in answer.answer), "truncated": float(query.truncated)}),
        Value(name="flags", value=float(answer.flags), method=dns.flags.to_text(answer.flags)),
    ]
    reason = "" if code == dns.rcode.NOERROR else f"the server answers {text}"
    return Findings(reason=reason, values=values)


def _timing(query: _Query) -> list[Value]:
    return values_of(query.times_ms | {"retries": float(query.retries)})


def _by_udp(query: _Query) -> dns.message.Message:
    target = (query.task.address, query.task.port(PORT))
    with query.task.socket(socket.SOCK_DGRAM) as sock:
        sock.connect(target)
        stamp_arrivals(sock, errors=True)
        for attempt in range(query.parameters.attempts):
            query.retries = attempt
            seen, sent_ns = time.monotonic(), send_now(sock, query.message.to_wire(), target)
            answer, arrived_ns = _await(query, sock, seen + query.parameters.timeout_ms / 1e3)
            if answer is not None:
                query.times_ms["udp_ms"] = waited_ms(sent_ns, arrived_ns, (time.monotonic() - seen) * 1e3)
                query.truncated = bool(answer.flags & dns.flags.TC)
                return answer
            if query.task.expired():
                break
    reason = f"no answer by UDP to {query.retries + 1} queries within {query.parameters.timeout_ms} ms each"
    raise NotMeasured(Status.TIMEOUT_TARGET, reason, _timing(query))


def _await(query: _Query, sock: socket.socket, end: float) -> tuple[dns.message.Message | None, int]:
    """The answer to the query and its arrival; None if none comes in time. Other datagrams are ignored."""
    while (left := min(end - time.monotonic(), query.task.left_s())) > 0:
        wait_readable([sock], left)
        for datagram in receive_all(sock, errors=True):
            if datagram.icmp_type is not None:
                raise NotMeasured(Status.UNREACHABLE, f"{datagram.address} answers that the port cannot be reached", _timing(query))
            answer = _parsed(query, datagram.data)
            if answer is not None:
                return answer, datagram.arrived_ns
    return None, 0


def _parsed(query: _Query, data: bytes) -> dns.message.Message | None:
    try:
        answer = dns.message.from_wire(data, ignore_trailing=True)
    except (dns.exception.DNSException, ValueError):
        return None
    return answer if query.message.is_response(answer) else None


def _by_tcp(query: _Query) -> dns.message.Message:
    begin = time.monotonic()
    wire = query.message.to_wire()
    with query.task.socket(socket.SOCK_STREAM) as sock:
        sock.settimeout(min(query.parameters.timeout_ms / 1e3, query.task.left_s() or 0.001))
        try:
            sock.connect((query.task.address, query.task.port(PORT)))
            query.times_ms["tcp_connect_ms"] = (time.monotonic() - begin) * 1e3
            sock.sendall(LENGTH.pack(len(wire)) + wire)
            data = _exactly(sock, LENGTH.unpack(_exactly(sock, LENGTH.size))[0])
        except TimeoutError:
            reason = f"no answer by TCP within {query.parameters.timeout_ms} ms"
            raise NotMeasured(Status.TIMEOUT_TARGET, reason, _timing(query)) from None
    query.times_ms["tcp_ms"] = (time.monotonic() - begin) * 1e3
    answer = _parsed(query, data)
    if answer is None:
        raise NotMeasured(Status.PARTIAL, "the server answers by TCP with something else than a DNS answer", _timing(query))
    return answer


def _exactly(sock: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        received = sock.recv(count - len(data))
        if not received:
            raise ConnectionResetError(104, "the server ended the connection")
        data += received
    return data
