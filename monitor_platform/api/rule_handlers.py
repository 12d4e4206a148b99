"""The alert rules for scripts and for the page: read, try, change. All changes go into the rules file."""

import asyncio
from collections.abc import Awaitable, Mapping
from dataclasses import asdict
from typing import Any, TypeVar

from feedback_wire.problem import Problem
from monitor_platform.access.login import check_origin
from monitor_platform.alerts.alert_text import as_json
from monitor_platform.alerts.evidence import Evidence
from monitor_platform.alerts.rules import Rule, Rules, rule_of
from monitor_platform.alerts.rules_file import RulesFile
from monitor_platform.api.alert_handlers import AlertHandler
from monitor_platform.api.changes import json_object
from monitor_platform.api.responses import answer_with_json
from monitor_platform.api.script_request import bad_parameter

RULES = "/api/v1/rules"
DRY_RUN = "/api/v1/rules/dry-run"
LOAD = "/api/v1/rules/load"

Answer = TypeVar("Answer")


class RuleHandler(AlertHandler):
    """What the handlers below share."""

    @property
    def file(self) -> RulesFile:
        if self.alerts.file is None:
            raise Problem(404, "recorded_files", "rules over recorded files are evaluated once, at the start; change the file")
        return self.alerts.file

    async def state(self) -> dict[str, Any]:
        """The rules, and the state of their file."""
        file = self.file
        return {
            "file": str(file.path),
            "revision": file.revision,
            "changed": await asyncio.to_thread(file.has_changed),
            "not_writable": await asyncio.to_thread(file.why_not_writable),
            "rules": [_fields(rule) for rule in self.alerts.rules],
        }


class RulesHandler(RuleHandler):
    """GET and POST /api/v1/rules"""

    async def get(self) -> None:
        await answer_with_json(self, self.state())

    async def post(self) -> None:
        await answer_with_json(self, self._change())

    async def _change(self) -> dict[str, Any]:
        file, body = self.file, json_object(self)
        if strange := [name for name in body if name not in ("rule", "replaces", "revision")]:
            raise bad_parameter(f"{strange[0][:40]!r} is unknown; choose from rule, replaces, revision")
        rule, replaces, revision = body.get("rule"), body.get("replaces"), body.get("revision")
        if not isinstance(rule, dict | None) or not isinstance(replaces, str | None) or not isinstance(revision, str):
            raise bad_parameter("give 'rule' (an object, or null to remove one), 'replaces' (a name) and 'revision' (of GET)")
        if rule is None and replaces is None:
            raise bad_parameter("'replaces' needs the name of the rule to remove")
        rules = await _stored(asyncio.to_thread(file.change, rule and _entry(rule), replaces=replaces, revision=revision))
        await self.alerts.use(rules)
        return await self.state()


class DryRunHandler(RuleHandler):
    """POST /api/v1/rules/dry-run"""

    async def post(self) -> None:
        await answer_with_json(self, self._try())

    async def _try(self) -> dict[str, Any]:
        body = json_object(self)
        try:
            rule = rule_of(_entry(body))
        except ValueError as error:
            raise bad_parameter(str(error)) from error
        found = await self.alerts.dry_run(rule)
        last = found.reading
        return {
            "from": found.span.from_ms,
            "until": found.span.to_ms,
            "alerts": [as_json(alert, Evidence()) for alert in found.alerts[:MOST_ALERTS]],
            "more": max(0, len(found.alerts) - MOST_ALERTS),
            "last": None if last is None else {"slice": dict(zip(rule.by, last.names, strict=True)), "value": last.value},
        }


class LoadHandler(RuleHandler):
    """POST /api/v1/rules/load"""

    async def post(self) -> None:
        await answer_with_json(self, self._load())

    async def _load(self) -> dict[str, Any]:
        check_origin(self)
        await self.alerts.use(await _stored(asyncio.to_thread(self.file.load)))
        return await self.state()


MOST_ALERTS = 100
"""Alerts in the answer of a dry run."""


async def _stored(work: Awaitable[Rules]) -> Rules:
    """The result of `work` on the file; Problem if the file is or would be invalid, or if the disk refuses the change."""
    try:
        return await work
    except ValueError as error:
        raise bad_parameter(str(error)) from error
    except OSError as error:
        raise Problem(
            503, "not_stored", f"the rules file cannot be used: {error.strerror or error}; nothing has changed"
        ) from error


def _entry(given: Mapping[str, Any]) -> dict[str, Any]:
    """The entry of the file for a rule in JSON, without the fields that are not set."""
    return {name: value for name, value in given.items() if value not in (None, [], {})}


def _fields(rule: Rule) -> dict[str, Any]:
    return asdict(rule) | {"by": list(rule.by), "where": dict(rule.where)}


ROUTES: tuple[tuple[str, type[RuleHandler]], ...] = ((RULES, RulesHandler), (DRY_RUN, DryRunHandler), (LOAD, LoadHandler))
