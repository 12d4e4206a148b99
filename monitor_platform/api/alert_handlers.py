"""The alerts for scripts and for the pages: rules and their state, silences, acknowledgements, webhooks and their test messages."""

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from tornado.web import RequestHandler

from feedback_wire.problem import Problem
from monitor_platform.access.gate import Gate
from monitor_platform.access.login import check_origin
from monitor_platform.alerts.alert_service import AlertService
from monitor_platform.alerts.alert_text import as_json
from monitor_platform.alerts.alert_watch import ExplainedAlert, RuleState
from monitor_platform.alerts.silences import Silences, acknowledgement_of, silence_of
from monitor_platform.alerts.webhooks import WebhookSender
from monitor_platform.api.changes import json_object, user_of
from monitor_platform.api.responses import answer_with_json
from monitor_platform.api.script_request import bad_parameter

ALERTS = "/api/v1/alerts"
SILENCES = "/api/v1/silences"
SILENCE = "/api/v1/silences/([0-9a-f]{1,64})"
ACKNOWLEDGEMENTS = "/api/v1/acknowledgements"
WEBHOOKS = "/api/v1/webhooks"
WEBHOOK_TEST = "/api/v1/webhooks/([0-9]{1,4})/test"


class AlertHandler(RequestHandler):
    """What the handlers below share."""

    def initialize(self, alerts: AlertService, gate: Gate) -> None:
        self.alerts = alerts
        self._gate = gate

    @property
    def silences(self) -> Silences:
        if self.alerts.silences is None:
            raise Problem(404, "recorded_files", "alerts of recorded files notify no webhook, so there is nothing to silence")
        return self.alerts.silences

    @property
    def sender(self) -> WebhookSender:
        if self.alerts.sender is None:
            raise Problem(404, "recorded_files", "alerts of recorded files notify no webhook")
        return self.alerts.sender

    def described(self, parse: Callable[..., Any]) -> Any:  # noqa: ANN401 - what `parse` makes
        """The silence or acknowledgement in the body; Problem (400) for a bad field."""
        body = json_object(self)
        try:
            return parse(body, self.alerts.rules, by=user_of(self._gate, self), now_ms=_now_ms())
        except ValueError as error:
            raise bad_parameter(str(error)) from error


class AlertsHandler(AlertHandler):
    """GET /api/v1/alerts"""

    async def get(self) -> None:
        await answer_with_json(self, self._alerts())

    async def _alerts(self) -> dict[str, Any]:
        watch = self.alerts.watch
        return {"rules": [_rule(each) for each in watch.states], "alerts": [self._alert(each) for each in watch.alerts]}

    def _alert(self, explained: ExplainedAlert) -> dict[str, Any]:
        """As a webhook gets it, with the silence and the acknowledgement of an open alert."""
        alert, silences = explained.alert, self.alerts.silences
        silence = silences.of(alert, _now_ms()) if silences is not None and alert.ended_ms is None else None
        acknowledged = silences.acknowledgement_of(alert) if silences is not None else None
        diagnosis = self.alerts.diagnoses.of(alert) if self.alerts.diagnoses is not None else None
        return as_json(alert, explained.evidence, diagnosis) | {
            "silence": asdict(silence) if silence is not None else None,
            "acknowledgement": asdict(acknowledged) if acknowledged is not None else None,
        }


class SilencesHandler(AlertHandler):
    """GET and POST /api/v1/silences"""

    async def get(self) -> None:
        await answer_with_json(self, self._list())

    async def post(self) -> None:
        await answer_with_json(self, self._add())

    async def _list(self) -> list[dict[str, Any]]:
        return [asdict(each) for each in self.silences.active(_now_ms())]

    async def _add(self) -> dict[str, Any]:
        silences, silence = self.silences, self.described(silence_of)
        await silences.add(silence, _now_ms())
        return asdict(silence)


class SilenceHandler(AlertHandler):
    """DELETE /api/v1/silences/ID"""

    async def delete(self, silence_id: str) -> None:
        await answer_with_json(self, self._end(silence_id))

    async def _end(self, silence_id: str) -> dict[str, Any]:
        check_origin(self)
        return asdict(await self.silences.end(silence_id, _now_ms()))


class AcknowledgementsHandler(AlertHandler):
    """POST /api/v1/acknowledgements"""

    async def post(self) -> None:
        await answer_with_json(self, self._add())

    async def _add(self) -> dict[str, Any]:
        silences, acknowledgement = self.silences, self.described(acknowledgement_of)
        await silences.acknowledge(acknowledgement)
        return asdict(acknowledgement)


class WebhooksHandler(AlertHandler):
    """GET /api/v1/webhooks"""

    async def get(self) -> None:
        await answer_with_json(self, self._list())

    async def _list(self) -> list[dict[str, Any]]:
        sender = self.sender
        return [
            {"host": webhook.host, "shape": webhook.shape, **sender.counts_of[number], "waiting": sender.waiting(number)}
            | {"deliveries": [asdict(each) for each in reversed(sender.deliveries[number])]}
            for number, webhook in enumerate(sender.webhooks)
        ]


class WebhookTestHandler(AlertHandler):
    """POST /api/v1/webhooks/NUMBER/test"""

    async def post(self, number: str) -> None:
        await answer_with_json(self, self._send(int(number)))

    async def _send(self, number: int) -> dict[str, Any]:
        check_origin(self)
        if number >= len(self.sender.webhooks):
            raise Problem(404, "no_such_webhook", "there is no webhook with this number; GET /api/v1/webhooks lists them, from 0")
        if not self.alerts.send_test(number):
            raise Problem(503, "busy", "too many notifications wait for this webhook; its receiver does not answer")
        return {"waiting": self.sender.waiting(number)}


def _rule(state: RuleState) -> dict[str, Any]:
    rule, reading = state.rule, state.reading
    last: Mapping[str, Any] | None = None
    if reading is not None:
        slice_of = dict(zip(rule.by, reading.names, strict=True))
        last = {"at": reading.at_ms, "slice": slice_of, "value": reading.value, "limit": reading.limit}
        last |= {"sessions": reading.sessions, "slices": reading.slices}
    return {
        "name": rule.name,
        "severity": rule.severity,
        "kind": rule.kind,
        "measure": rule.measure,
        "by": rule.by,
        "where": rule.where,
        "state": state.word,
        "open": len(state.open),
        "since": state.since_ms,
        "last": last,
    }


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


ROUTES: tuple[tuple[str, type[AlertHandler]], ...] = (
    (ALERTS, AlertsHandler),
    (SILENCES, SilencesHandler),
    (SILENCE, SilenceHandler),
    (ACKNOWLEDGEMENTS, AcknowledgementsHandler),
    (WEBHOOKS, WebhooksHandler),
    (WEBHOOK_TEST, WebhookTestHandler),
)
