"""UDP_SEND and TCP_SEND: send data of the requester, and wait for an answer of the destination."""

import socket
import time

from measurement.outcome import Status
from measurement.technique_parameters import SendParameters
from measurement.techniques.kernel_sockets import receive_all, send_now, stamp_arrivals, wait_readable
from measurement.techniques.task import Findings, NotMeasured, Task, values_of

INTERVAL_S = 0.1
MOST_ANSWER_BYTES = 65_536


def udp_send(task: Task, parameters: SendParameters) -> Findings:
    """Send datagrams 100 ms apart. Without an answer, only what was sent and refused is known."""
    target = _target(task)
    sent_ns: list[int] = []
    first_ms, answers, size = None, 0, 0
    with task.socket(socket.SOCK_DGRAM) as sock:
        sock.connect(target)
        stamp_arrivals(sock, errors=True)
        due = time.monotonic()
        end = due + (parameters.count - 1) * INTERVAL_S + parameters.wait_ms / 1e3
        while len(sent_ns) < parameters.count or (answers < parameters.count and time.monotonic() < end):
            if task.expired():
                break
            if len(sent_ns) < parameters.count and time.monotonic() >= due:
                sent_ns.append(send_now(sock, parameters.data(), target))
                due += INTERVAL_S
            wait_readable([sock], min(due if len(sent_ns) < parameters.count else end, end) - time.monotonic())
            for answer in receive_all(sock, errors=True):
                if answer.icmp_type is not None:
                    reason = f"{answer.address} answers that the destination cannot be reached"
                    raise NotMeasured(Status.UNREACHABLE, reason, values_of({"packets_sent": len(sent_ns), "answers": answers}))
                answers, size = answers + 1, size + len(answer.data)
                first_ms = (answer.arrived_ns - sent_ns[0]) / 1e6 if first_ms is None else first_ms
    found = values_of({"packets_sent": len(sent_ns), "answers": answers, "answer_bytes": size, "first_answer_ms": first_ms})
    if answers or not parameters.wait_ms:
        return Findings(values=found)
    raise NotMeasured(Status.TIMEOUT_TARGET, f"no answer to {len(sent_ns)} datagrams within {parameters.wait_ms} ms", found)


def tcp_send(task: Task, parameters: SendParameters) -> Findings:
    """Connect, send the data, and read the answer until the destination ends or pauses."""
    found: dict[str, float | None] = {}
    begin = time.monotonic()
    with task.socket(socket.SOCK_STREAM) as sock:
        sock.settimeout(max(min(parameters.wait_ms / 1e3, task.left_s()), 1.0))
        sock.connect(_target(task))
        found["tcp_ms"] = (time.monotonic() - begin) * 1e3
        sock.sendall(parameters.data())
        if not parameters.wait_ms:
            return Findings(values=values_of(found))
        found |= _answer(sock, begin=time.monotonic(), wait_s=min(parameters.wait_ms / 1e3, task.left_s()))
    if found["answer_bytes"]:
        return Findings(values=values_of(found))
    raise NotMeasured(Status.PARTIAL, "the destination accepts the connection and does not answer", values_of(found))


def _answer(sock: socket.socket, *, begin: float, wait_s: float) -> dict[str, float | None]:
    size, first_ms = 0, None
    end = begin + wait_s
    while size < MOST_ANSWER_BYTES and (left := end - time.monotonic()) > 0:
        sock.settimeout(left)
        try:
            part = sock.recv(MOST_ANSWER_BYTES - size)
        except (TimeoutError, ConnectionResetError):
            break
        if not part:
            break
        first_ms = (time.monotonic() - begin) * 1e3 if first_ms is None else first_ms
        size += len(part)
    return {"first_answer_ms": first_ms, "answer_bytes": float(size)}


def _target(task: Task) -> tuple[str, int]:
    if not task.destination.port:
        raise NotMeasured(Status.REFUSED, f"{task.operation.technique} needs the port of the destination")
    return task.address, task.destination.port
