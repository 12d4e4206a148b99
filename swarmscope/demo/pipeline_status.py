"""The status of the pipeline, read from the servers' `/metrics` and from the monitoring platform's summary API."""

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
class PipelineStatus:
    """The status of the pipeline at one moment. None means unknown."""

    peers: int | None = None
    """Distinct peers with a message in the last period."""
    mos: float | None = None
    """Their mean opinion score."""
    accepted: float | None = None
    """Messages that the coordinator accepted since its start."""
    durable: float | None = None
    """Records on the feedback servers' disks."""
    spooled: float | None = None
    """Messages in the coordinator's spool."""
    delay_s: float | None = None
    """Display delay, median."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerUrls:
    """The URLs of the demo's servers."""

    coordinator: str
    feedback_servers: Sequence[str]
    monitor: str
    master: str = ""
    """Of active measurement; empty without one."""
    metrics_token: str = field(default="", repr=False)


@dataclass(slots=True)
class CountRate:
    """Computes the growth of a count per second, between two readings."""

    _last: tuple[float, float] | None = field(default=None)

    def update(self, count: float | None, now_s: float) -> float | None:
        if count is None:
            return None
        last, self._last = self._last, (now_s, count)
        return None if last is None or now_s <= last[0] else (count - last[1]) / (now_s - last[0])


def read_status(at: ServerUrls, *, period_s: float) -> PipelineStatus:
    """The current status of the pipeline."""
    coordinator = _metrics(at.coordinator, at.metrics_token)
    stored = [_metrics(url, at.metrics_token).get("swarmscope_feedback_server_records_total") for url in at.feedback_servers]
    summary = _summary(at.monitor, period_s)
    return PipelineStatus(
        peers=summary.get("peers"),
        mos=summary.get("mos", {}).get("mean"),
        accepted=coordinator.get("swarmscope_coordinator_messages_accepted_total"),
        durable=sum(count for count in stored if count is not None) if any(count is not None for count in stored) else None,
        spooled=coordinator.get("swarmscope_coordinator_spool_messages"),
        delay_s=_metrics(at.monitor).get('swarmscope_monitor_display_delay_seconds{quantile="0.5"}'),
    )


def _metrics(url: str, token: str = "") -> dict[str, float]:
    """Each sample by its name and labels, as the text format writes them."""
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
    summary: dict[str, Any] = json.loads(_get(f"{url}{routes.SUMMARY}?from={from_ms}") or b"{}")
    return summary


def _get(url: str, token: str = "") -> bytes:
    """The body of the answer; empty if there is no answer. The demo asks again a second later."""
    request = urllib.request.Request(url, headers={"Authorization": routes.bearer(token)} if token else {})  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=ANSWERS_WITHIN_S) as answer:  # noqa: S310 - one of our own servers
            body: bytes = answer.read()
            return body
    except (OSError, HTTPException):
        return b""
