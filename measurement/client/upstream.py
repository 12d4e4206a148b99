"""Upstream measurements: the client measures from its own machine, without a master, one destination after the other."""

import secrets
import socket
import time
from collections.abc import Iterator

from measurement.finished_operation import FinishedOperation
from measurement.measurement_request import InvalidRequestError, MeasurementRequest, split_host
from measurement.operation import Destination
from measurement.technique_parameters import read_parameters
from measurement.techniques.registry import TECHNIQUES, measure
from measurement.techniques.task import ProbeSettings
from serving.forwarded import address_of


def measure_upstream(request: MeasurementRequest, settings: ProbeSettings) -> Iterator[FinishedOperation]:
    """Measure each destination once. InvalidRequestError or ParameterError if the request is not possible."""
    if request.technique not in TECHNIQUES:
        known = ", ".join(sorted(TECHNIQUES))
        raise InvalidRequestError(f"{request.technique} is not possible here; use one of {known}")
    if not request.destinations:
        raise InvalidRequestError("name the destinations: with --upstream, this machine is the source")
    read_parameters(request.technique, dict(request.parameters))
    destinations = [_resolved(text) for text in request.destinations]
    request_id = secrets.token_hex(6)
    for index, destination in enumerate(destinations):
        operation = request.operation(f"{request_id}.0.upstream.{index}", request_id, destination)
        outcome = measure(operation, lambda _outcome: None, settings)
        yield FinishedOperation(
            request_id=request_id,
            requester="upstream",
            round=0,
            agent="upstream",
            technique=request.technique,
            destination=destination,
            outcome=outcome,
            recorded_ms=time.time_ns() // 1_000_000,
        )


def _resolved(text: str) -> Destination:
    host, port = split_host(text)
    address = address_of(host)
    if address is None:
        try:
            found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except OSError as error:
            raise InvalidRequestError(f"the name {host} has no address: {error.strerror}") from None
        address = address_of(str(min(found, key=lambda each: each[0] != socket.AF_INET)[4][0]))
    return Destination(name=text, address=str(address), port=port)
