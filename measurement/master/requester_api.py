"""The routes for clients: submit, show, follow and cancel requests. For managers also: agents and the kill switch."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from feedback_wire import routes
from feedback_wire.problem import Problem
from measurement.master.admission_rules import admitted_destinations, check_consent, check_role
from measurement.master.dispatcher import Dispatcher
from measurement.master.live_request import LiveRequest, RequestState
from measurement.master.master_context import REQUEST_BYTES, MasterContext, TooEarly, body_of, json_answer
from measurement.master.measurement_keys import KeyHolder
from measurement.measurement_request import InvalidRequestError, MeasurementRequest, read_request
from measurement.technique_parameters import ParameterError

HEARTBEAT_S = 5.0
_FOLLOWED_AT_ONCE = 500
"""The most lines that are sent together."""


@dataclass(frozen=True, slots=True)
class RequesterApi:
    """/v1/measurements, /v1/agents and /v1/kill-switch."""

    context: MasterContext

    async def submit(self, request: Request) -> Response:
        """POST /v1/measurements: accept a request, or state what it would do (`dry_run`)."""
        context = self.context
        visitor = context.keys.requester(request.headers.get("authorization"))
        context.learn_own_address(request)
        body = await body_of(request, REQUEST_BYTES)
        client = request.client.host if request.client is not None else ""
        try:
            asked = read_request(body)
            return await self._admit(asked, visitor, client)
        except (InvalidRequestError, ParameterError) as error:
            raise Problem(400, "invalid_request", str(error)) from None

    async def _admit(self, asked: MeasurementRequest, visitor: KeyHolder, client: str) -> Response:
        context, dispatcher = self.context, self.context.dispatcher
        check_role(asked, visitor, context.settings)
        _check_running(dispatcher)
        limited = not (asked.dry_run or visitor.is_manager)
        if limited:
            self._check_limit(visitor)
        dispatcher.check_agents(asked.technique)
        destinations = await admitted_destinations(asked, client, context)
        agents = dispatcher.select(asked, destinations, None if visitor.is_manager else visitor.name)
        most = context.settings.most_operations
        if len(agents) * len(destinations) > most:
            raise InvalidRequestError(f"{len(agents)} agents × {len(destinations)} destinations are more than {most} operations")
        # In a thread: the plan of 100,000 operations takes more than half a second.
        plan = await asyncio.get_running_loop().run_in_executor(context.planner, dispatcher.plan, asked, agents, destinations)
        if asked.dry_run:
            return json_answer({"dry_run": plan.to_json()})
        await check_consent(asked, destinations)
        _check_running(dispatcher)  # again: its state may have changed while the request was checked
        if limited:
            self._check_limit(visitor)
            try:
                context.limits.submitted(visitor.name)
            except OSError as error:
                raise _not_saved("your request", error) from None
        live = dispatcher.submit(asked, visitor.name, agents, destinations)
        await context.do_parts()
        try:
            await context.save_requests()
        except Problem:
            dispatcher.cancel(live, RequestState.CANCELLED, "it could not be saved")
            await context.do_parts()
            raise
        return json_answer(live.to_json() | {"plan": plan.to_json()}, 201)

    def _check_limit(self, visitor: KeyHolder) -> None:
        retry_s = self.context.limits.retry_after_s(visitor.name)
        if retry_s:
            every_s = self.context.settings.request_every_s
            detail = f"a requester may submit one request every {every_s:g} s; try again in {retry_s} s"
            raise TooEarly(429, "rate_limited", detail, retry_s)

    async def requests(self, request: Request) -> Response:
        """GET /v1/measurements: the visitor's requests; a manager sees all."""
        visitor = self.context.keys.requester(request.headers.get("authorization"))
        found = [each.to_json() for each in self.context.dispatcher.requests.values() if _may_see(visitor, each)]
        return json_answer({"measurements": found})

    async def show(self, request: Request) -> Response:
        """GET /v1/measurements/ID."""
        return json_answer(self._live(request).to_json())

    async def outcomes(self, request: Request) -> Response:
        """GET /v1/measurements/ID/outcomes: the present outcomes, or with follow=1 all as they arrive, until the request ends."""
        live = self._live(request)
        if request.query_params.get("follow", "0") not in {"", "0"}:
            return StreamingResponse(self._follow(live), media_type=routes.NDJSON)
        return Response(b"".join(line + b"\n" for line in live.lines), media_type=routes.NDJSON)

    async def cancel(self, request: Request) -> Response:
        """DELETE /v1/measurements/ID."""
        live = self._live(request)
        await self._cancel([live])
        return json_answer(live.to_json())

    async def cancel_all(self, request: Request) -> Response:
        """DELETE /v1/measurements: cancel the visitor's requests; a manager cancels all."""
        visitor = self.context.keys.requester(request.headers.get("authorization"))
        found = [each for each in self.context.dispatcher.requests.values() if each.is_live and _may_see(visitor, each)]
        await self._cancel(found)
        return json_answer({"cancelled": [each.request_id for each in found]})

    async def agents(self, request: Request) -> Response:
        """GET /v1/agents: for managers."""
        self.context.keys.manager(request.headers.get("authorization"))
        now_s = self.context.monotonic()
        members = sorted(self.context.dispatcher.membership.members.values(), key=lambda each: each.name)
        return json_answer(
            {
                "agents": [
                    {
                        "name": each.name,
                        "address": each.address,
                        "tags": each.tags,
                        "techniques": sorted(each.techniques),
                        "connected": each.connected,
                        "heard_s_ago": round(now_s - each.heard_s, 1),
                        "queued": each.queued,
                        "running": each.running,
                        "spooled": each.spooled,
                    }
                    for each in members
                ]
            }
        )

    async def kill_switch(self, request: Request) -> Response:
        """GET or PUT /v1/kill-switch: for managers."""
        context = self.context
        context.keys.manager(request.headers.get("authorization"))
        if request.method == "PUT":
            try:
                stop = msgspec.json.decode(await body_of(request, REQUEST_BYTES), type=dict[str, bool])["on"]
            except (ValueError, RecursionError, KeyError):
                raise Problem(400, "invalid_request", 'send {"on": true} to stop all probing, or {"on": false}') from None
            if stop:
                context.dispatcher.stop_all()  # first, whatever the disk does
            try:
                context.kept.save_stopped(stopped=stop)
            except OSError as error:
                what = "the kill switch; all probing has stopped, but a restart would admit requests again" if stop else "its end"
                raise _not_saved(what, error) from None
            if not stop:
                context.dispatcher.resume()
            await context.do_parts()
            await context.save_requests()
        return json_answer({"on": context.dispatcher.stopped})

    async def _cancel(self, found: list[LiveRequest]) -> None:
        for live in found:
            self.context.dispatcher.cancel(live, RequestState.CANCELLED, "it was cancelled by request")
        await self.context.do_parts()
        await self.context.save_requests()

    def _live(self, request: Request) -> LiveRequest:
        visitor = self.context.keys.requester(request.headers.get("authorization"))
        live = self.context.dispatcher.requests.get(request.path_params["id"])
        if live is None:
            raise Problem(404, "no_such_measurement", "there is no such request; GET /v1/measurements lists yours")
        if not _may_see(visitor, live):
            raise Problem(403, "not_allowed", "this is the request of another requester")
        return live

    async def _follow(self, live: LiveRequest) -> AsyncIterator[bytes]:
        """The outcomes, then the request with its state. After a time without an outcome, it sends an empty line."""
        changed = asyncio.Event()
        live.changed.add(changed.set)
        live.followers += 1
        number = 0
        try:
            while not self.context.stopping.is_set():
                changed.clear()
                ended = not live.is_live
                lines, skipped = live.lines_after(number)
                if skipped:
                    yield json.dumps({"skipped": skipped}).encode() + b"\n"
                number += skipped + len(lines)
                for start in range(0, len(lines), _FOLLOWED_AT_ONCE):
                    yield b"".join(line + b"\n" for line in lines[start : start + _FOLLOWED_AT_ONCE])
                if ended:
                    yield json.dumps(live.to_json()).encode() + b"\n"
                    return
                if not lines and not await _within(changed.wait, HEARTBEAT_S):
                    yield b"\n"
        finally:
            live.changed.discard(changed.set)
            live.followers -= 1
            live.unfollowed_s = self.context.monotonic()
            if live.request.attached and not live.followers and live.is_live and not self.context.stopping.is_set():
                self.context.dispatcher.cancel(live, RequestState.CLIENT_GONE, "the client disconnected")


def _check_running(dispatcher: Dispatcher) -> None:
    if dispatcher.stopped:
        raise Problem(503, "all_stopped", "a manager has stopped all probing with the kill switch; ask when it ends")


def _may_see(visitor: KeyHolder, live: LiveRequest) -> bool:
    return visitor.is_manager or live.requester == visitor.name


async def _within(wait: Callable[[], "asyncio.Future[bool] | object"], seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await wait()  # type: ignore[misc]
    except TimeoutError:
        return False
    return True


def _not_saved(what: str, error: OSError) -> Problem:
    return Problem(503, "not_durable", f"the master cannot save {what}: {error.strerror}; try again later")
