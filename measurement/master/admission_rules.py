"""Checks of a request that need its sender, name servers, or the master's settings."""

import asyncio
import socket
from collections.abc import Sequence

from feedback_wire.problem import Problem
from measurement.master.consent_check import refusal_of_responders
from measurement.master.master_context import MasterContext
from measurement.master.measurement_keys import KeyHolder
from measurement.master.settings import Settings
from measurement.master.target_rules import TargetRules
from measurement.measurement_request import InvalidRequestError, MeasurementRequest, split_host
from measurement.operation import TRAIN_TECHNIQUES, Destination
from measurement.technique_parameters import planned_cost
from serving.forwarded import address_of

RESOLVE_S = 5.0
"""The time limit for the look-up of all names of a request."""


def check_role(asked: MeasurementRequest, visitor: KeyHolder, settings: Settings) -> None:
    """Problem 403 if only a manager may ask for this."""
    if visitor.is_manager:
        return
    if asked.priority or asked.keep:
        raise Problem(403, "not_allowed", "only managers may set priority and keep; leave them out")
    if asked.period_s and asked.period_s < settings.request_every_s:
        least = settings.request_every_s
        raise Problem(403, "not_allowed", f"a requester may repeat a measurement every {least:g} s at most; raise period_s")


async def admitted_destinations(asked: MeasurementRequest, client: str, context: MasterContext) -> list[Destination]:
    """The destinations with their addresses, which are looked up once; Problem 403 if one must not be measured."""
    texts = list(dict.fromkeys(asked.destinations)) or [client]
    try:
        async with asyncio.timeout(RESOLVE_S):
            destinations = await asyncio.gather(*map(_resolved, texts))
    except TimeoutError:
        raise Problem(400, "unresolved", f"the names could not be looked up within {RESOLVE_S:g} s; use addresses") from None
    rules = TargetRules(
        allowed=context.settings.allowed_networks, own=context.own_addresses, invite=context.settings.invite_destination
    )
    budget_packets, budget_bytes = context.dispatcher.budgets.packets, context.dispatcher.budgets.bytes
    for destination in destinations:
        operation = asked.operation("check", "check", destination)
        if why := rules.refusal(asked.technique, destination, str(operation.parameters.get("token", ""))):
            raise Problem(403, "target_refused", why)
        cost = planned_cost(operation)
        if cost.packets > budget_packets or cost.size_bytes > budget_bytes:
            raise InvalidRequestError(
                f"one operation may send {cost.packets} packets with {cost.size_bytes} bytes; a destination's budget per minute is "
                f"{budget_packets:g} packets and {budget_bytes:g} bytes: lower the parameters"
            )
    return destinations


async def check_consent(asked: MeasurementRequest, destinations: Sequence[Destination]) -> None:
    """Problem 403 if the technique needs the consent of destinations, and one of them refuses."""
    if asked.technique in TRAIN_TECHNIQUES:
        operations = [asked.operation("check", "check", each) for each in destinations]
        if why := await refusal_of_responders(operations):
            raise Problem(403, "target_refused", why)


async def _resolved(text: str) -> Destination:
    host, port = split_host(text)
    address = address_of(host)
    if address is not None:
        return Destination(name=text, address=str(address), port=port)
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError as error:
        raise Problem(400, "unresolved", f"the name {host} has no address: {error.strerror}") from None
    by_family = sorted(found, key=lambda each: each[0] != socket.AF_INET)
    return Destination(name=text, address=str(address_of(str(by_family[0][4][0]))), port=port)
