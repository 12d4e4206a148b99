"""How the pipeline is doing, from what its servers tell everybody: `/metrics`, and the summary that scripts read as well."""

import json
import time
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from feedback_wire import routes

ANSWERS_WITHIN_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """A look at the pipeline; None: not known now."""

    peers: int | None = None
    """Distinct end hosts that the platform heard within the last period."""
    mos: float | None = None
    """Their mean opinion score."""
    accepted: float | None = None
    """Messages that the coordinator has accepted so far."""
    durable: float | None = None
    """Records that lie on the feedback servers' disks."""
    spooled: float | None = None
    """Messages that wait in the coordinator's spool."""
    delay_s: float | None = None
    """Display delay, median."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses:
    """Where to look."""

    coordinator: str
    feedback_servers: Sequence[str]
    monitor: str
    metrics_token: str = field(default="", repr=False)


@dataclass(slots=True)
class Rate:
    """How fast a count grows, between two looks."""

    _last: tuple[float, float] | None = field(default=None)

    def see(self, count: float | None, now_s: float) -> float | None:
        if count is None:
            return None
        last, self._last = self._last, (now_s, count)
        return None if last is None or now_s <= last[0] else (count - last[1]) / (now_s - last[0])


def look(at: Addresses, *, period_s: float) -> Figures:
    """What can be seen now."""
    coordinator = _metrics(at.coordinator, at.metrics_token)
    stored = [_metrics(url, at.metrics_token).get("swarmscope_feedback_server_records_total") for url in at.feedback_servers]
    summary = _summary(at.monitor, period_s)
    return Figures(
        peers=summary.get("peers"),
        mos=summary.get("mos", {}).get("mean"),
        accepted=coordinator.get("swarmscope_coordinator_messages_accepted_total"),
        durable=sum(count for count in stored if count is not None) if any(count is not None for count in stored) else None,
        spooled=coordinator.get("swarmscope_coordinator_spool_messages"),
        delay_s=_metrics(at.monitor).get('swarmscope_monitor_display_delay_seconds{quantile="0.5"}'),
    )


def _metrics(url: str, token: str = "") -> dict[str, float]:
    """Every sample by its name, with its labels as they are written."""
    text = _get(url + routes.METRICS, token).decode()
    return {
        _name(sample.name, sample.labels): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def _name(name: str, labels: dict[str, str]) -> str:
    written = ",".join(f'{label}="{value}"' for label, value in labels.items())
    return f"{name}{{{written}}}" if written else name


def _summary(url: str, period_s: float) -> dict[str, Any]:
    from_ms = round((time.time() - period_s) * 1000)
    said: dict[str, Any] = json.loads(_get(f"{url}{routes.SUMMARY}?from={from_ms}") or b"{}")
    return said


def _get(url: str, token: str = "") -> bytes:
    """The answer; nothing while there is none, for the next look is a second away."""
    request = urllib.request.Request(url, headers={"Authorization": routes.bearer(token)} if token else {})  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=ANSWERS_WITHIN_S) as answer:  # noqa: S310 - one of our own servers
            body: bytes = answer.read()
            return body
    except (OSError, HTTPException):
        return b""
