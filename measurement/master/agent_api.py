"""The routes for agents: register, get commands, keep alive, deliver outcomes. An agent opens all of these connections itself."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from feedback_wire import routes
from feedback_wire.problem import Problem
from measurement.control_messages import Keepalive, Registered, Registration, Reports
from measurement.master.agent_membership import AgentMember
from measurement.master.master_context import REPORTS_BYTES, REQUEST_BYTES, MasterContext, body_of, json_answer

Body = TypeVar("Body", Registration, Keepalive, Reports)


@dataclass(frozen=True, slots=True)
class AgentApi:
    """POST /v1/agents, and the routes of a registered agent."""

    context: MasterContext

    async def register(self, request: Request) -> Response:
        """POST /v1/agents: a new epoch of an agent."""
        context = self.context
        context.keys.holder(request.headers.get("authorization"))
        registration = await _read(request, Registration, REQUEST_BYTES)
        context.keys.check_agent(request.headers.get("authorization"), registration.name)
        context.learn_own_address(request)
        self._end(registration.name)
        address = request.client.host if request.client is not None else ""
        member = context.dispatcher.membership.register(registration, address, context.monotonic())
        timers = context.timers
        return json_answer(
            Registered(
                epoch=member.epoch,
                keepalive_s=timers.keepalive_s,
                agent_timer_s=timers.agent_s,
                reconnect_s=timers.reconnect_s,
            ),
            201,
        )

    async def commands(self, request: Request) -> Response:
        """GET /v1/agents/NAME/commands: the stream of commands. With it, the agent is available."""
        member = self._member(request, request.query_params.get("epoch", ""))
        return StreamingResponse(self._stream(member), media_type=routes.NDJSON)

    async def keep_alive(self, request: Request) -> Response:
        """POST /v1/agents/NAME/keepalive: the answer is KEEPALIVE_REPLY."""
        keepalive = await _read(request, Keepalive, REQUEST_BYTES)
        member = self._member(request, keepalive.epoch)
        self.context.dispatcher.membership.note_keepalive(member, keepalive, self.context.monotonic())
        return json_answer({"number": keepalive.number})

    async def outcomes(self, request: Request) -> Response:
        """POST /v1/agents/NAME/outcomes: the outcomes are durable when the answer is sent."""
        reports = await _read(request, Reports, REPORTS_BYTES)
        member = self._member(request, reports.epoch)
        receipt = self.context.dispatcher.take_reports(member.name, reports.reports)
        await self.context.durable()
        return json_answer(receipt)

    async def _stream(self, member: AgentMember) -> AsyncIterator[bytes]:
        context = self.context
        queue = context.streams.open(member.name)
        context.dispatcher.agent_connected(member)
        try:
            yield b"\n"  # this informs the agent that it is available
            async for line in context.streams.lines(queue, heartbeat_s=context.timers.keepalive_s):
                yield line
        finally:
            if context.streams.is_open(member.name, queue):
                self._end(member.name)

    def _end(self, name: str) -> None:
        """The epoch of an agent ends: its stream is broken, or it registers again."""
        dispatcher = self.context.dispatcher
        self.context.streams.close(name)
        member = dispatcher.membership.members.get(name)
        if member is not None:
            dispatcher.membership.remove(member)
            dispatcher.agent_gone(member)

    def _member(self, request: Request, epoch: str) -> AgentMember:
        name = request.path_params["name"]
        self.context.keys.check_agent(request.headers.get("authorization"), name)
        member = self.context.dispatcher.membership.current(name, epoch)
        if member is None:
            raise Problem(409, "old_epoch", "this epoch has ended; register again: POST /v1/agents")
        return member


async def _read(request: Request, kind: type[Body], most: int) -> Body:
    try:
        return msgspec.json.decode(await body_of(request, most), type=kind)
    except (ValueError, RecursionError) as error:
        raise Problem(400, "bad_agent_message", f"this is not a {kind.__name__}: {error}") from None
