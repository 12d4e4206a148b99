"""Asks responders, before a request for packet trains is admitted, whether they accept its tokens.

The agents ask again when they measure, because a destination may end its consent at any time. A responder that the master does not
reach may still be reached by the agents, so only a definite answer refuses the request.
"""

import asyncio
from collections.abc import Iterable

import msgspec

from measurement.operation import Operation, Technique
from measurement.responder_protocol import MOST_LINE_BYTES, USUAL_PORT, Challenge, Opened, Opening, Refused, ToAgent, line, proof

ASK_WITHIN_S = 3.0
"""The time limit for all responders of a request. A responder waits a second before it answers a wrong token."""

OTHER_SERVER = frozenset({Technique.THROUGHPUT, Technique.RESPONSIVENESS})
"""In their destinations, the port is that of iperf3, not that of the responder."""

_AT_ONCE = 64


async def refusal_of_responders(operations: Iterable[Operation]) -> str:
    """The first refusal; empty if every responder accepts its token, or cannot be reached from here."""
    gate = asyncio.Semaphore(_AT_ONCE)

    async def asked(operation: Operation) -> str:
        async with gate:
            return await _refusal(operation)

    questions = [asyncio.create_task(asked(each)) for each in operations]
    done, waiting = await asyncio.wait(questions, timeout=ASK_WITHIN_S)
    for each in waiting:
        each.cancel()
    return next((found for each in questions if each in done and (found := each.result())), "")


async def _refusal(operation: Operation) -> str:
    address, port = operation.destination.address, responder_port(operation)
    name = operation.destination.name
    try:
        reader, writer = await asyncio.open_connection(address, port, limit=MOST_LINE_BYTES)
    except ConnectionRefusedError:
        return f"no responder listens on port {port} of {name}: start `swarmscope measurement-responder` there"
    except OSError:
        return ""
    try:
        challenge = await _message(reader)
        if not isinstance(challenge, Challenge):
            return f"{name} refuses: {challenge.reason}" if isinstance(challenge, Refused) else _no_responder(name, port)
        token = str(operation.parameters.get("token", ""))
        writer.write(line(Opening(proof=proof(token, challenge.nonce), purpose="consent", technique=operation.technique)))
        answer = await _message(reader)
    except (OSError, asyncio.IncompleteReadError):
        return ""
    except (ValueError, RecursionError):
        return _no_responder(name, port)
    finally:
        writer.close()
    if isinstance(answer, Refused):
        return f"{name} has not consented: {answer.reason}"
    return "" if isinstance(answer, Opened) else _no_responder(name, port)


def responder_port(operation: Operation) -> int:
    """The port of the responder at the operation's destination."""
    if operation.technique in OTHER_SERVER:
        return int(operation.parameters.get("responder_port", USUAL_PORT))
    return operation.destination.port or USUAL_PORT


def _no_responder(name: str, port: int) -> str:
    return f"what listens on port {port} of {name} is not a responder"


async def _message(reader: asyncio.StreamReader) -> ToAgent:
    message: ToAgent = msgspec.json.decode(await reader.readuntil(b"\n"), type=ToAgent)
    return message
