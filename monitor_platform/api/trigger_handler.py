"""/api/v1/measurement-requests: a manager starts a measurement from the page Network or from a script."""

from collections.abc import Mapping
from typing import Any

from tornado.web import RequestHandler

from monitor_platform.api.changes import json_object
from monitor_platform.api.responses import answer_with_json
from monitor_platform.api.script_request import bad_parameter
from monitor_platform.measuring.master_requests import MasterRequests

TRIGGER = "/api/v1/measurement-requests"

FIELDS = ("technique", "destinations", "agents", "parameters", "consent")
"""What a request may have. One round, without a priority; `swarmscope measure` has all fields."""


class TriggerHandler(RequestHandler):
    """POST /api/v1/measurement-requests"""

    def initialize(self, master: MasterRequests) -> None:
        self._master = master

    async def post(self) -> None:
        await answer_with_json(self, self._submit())

    async def _submit(self) -> dict[str, Any]:
        found = await self._master.submit(request_of(json_object(self)))
        return {name: found[name] for name in ("id", "state", "planned") if name in found}


def request_of(body: Mapping[str, Any]) -> dict[str, Any]:
    """The request for the master, which checks the values; Problem (400) for another field."""
    if unknown := sorted(body.keys() - set(FIELDS)):
        raise bad_parameter(f"{unknown[0][:40]!r} is not a field of a request; use {', '.join(FIELDS)}")
    if not isinstance(body.get("technique"), str):
        raise bad_parameter("'technique' is missing; give one such as PING")
    if not body.get("destinations"):
        raise bad_parameter("'destinations' is missing; give a list such as [\"media.example\"]")
    return {"agents": ["ALL"], **body}
