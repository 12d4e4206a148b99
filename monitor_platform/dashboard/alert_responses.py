"""The rows of the Alerts page that users act on: rules with their state, silences, acknowledgements, and webhooks."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from monitor_platform.alerts.alert_diagnoses import AlertDiagnoses
from monitor_platform.alerts.alert_text import measure_title, shown
from monitor_platform.alerts.alert_watch import RuleState
from monitor_platform.alerts.detector import Alert
from monitor_platform.alerts.rules import SEVERITIES, Rule
from monitor_platform.alerts.silences import Acknowledgement, Silence, Silences
from monitor_platform.alerts.webhooks import WebhookSender
from monitor_platform.dashboard.display_names import dimension_name, place_name
from monitor_platform.views.number_format import format_count

Row = dict[str, Any]

MOST_MISSING = 10
"""Answers "not enough evidence" at an alert."""

STATES = {"firing": "Firing", "well": "OK", "no data": "No data"}


def rule_rows(states: Sequence[RuleState], silences: Silences | None) -> list[Row]:
    """Each rule with its state and its last value, the firing ones first, the most severe of them first."""
    lasting = silences.active(_now_ms()) if silences is not None else ()
    until = {each.rule: each.until_ms for each in lasting if each.slice is None}
    order = sorted(states, key=lambda each: (not each.open, -SEVERITIES.index(each.rule.severity) if each.open else 0))
    return [_rule_row(each) | {"silenced_until": until.get(each.rule.name, 0)} for each in order]


def response(alert: Alert, silences: Silences | None) -> Row:
    """What users have done about an alert, and whether they can do something. An ended one can be silenced before it comes back."""
    lasts = alert.ended_ms is None
    silence = silences.of(alert, _now_ms()) if silences is not None else None
    acknowledged = silences.acknowledgement_of(alert) if silences is not None else None
    return {
        "rule": alert.rule.name,
        "slice": alert.slice,
        "can_silence": silences is not None,
        "lasts": lasts,
        "silence": None if silence is None else _note(silence) | {"id": silence.id, "until": silence.until_ms},
        "acknowledgement": None if acknowledged is None else _note(acknowledged) | {"at": acknowledged.at_ms},
    }


def diagnosis_row(alert: Alert, diagnoses: AlertDiagnoses | None) -> Row | None:
    """The diagnosis of an alert: its state, one line, and the verdicts with their evidence; None without one."""
    found = diagnoses.of(alert) if diagnoses is not None else None
    if found is None:
        return None
    facts = found.to_json()
    verdicts = [
        {
            "text": f"{each['cause'].replace('_', ' ')}: {each['subject']['text']}",
            "why": f"{each['confidence']} confidence: {each['because']}",
            "evidence": [one["text"] for one in each["evidence"]],
        }
        for each in facts["verdicts"]
    ]
    missing = [
        {"text": f"not enough evidence: {each['about']['text']}", "why": f"missing: {each['missing']}", "evidence": []}
        for each in facts["not_enough_evidence"][:MOST_MISSING]
    ]
    return {"at": found.at_ms, "state": found.state, "text": found.text, "answers": [*verdicts, *missing]}


def silence_rows(silences: Silences | None) -> list[Row]:
    """The silences that last, the first to end first."""
    lasting = silences.active(_now_ms()) if silences is not None else ()
    return [
        _note(each)
        | {"id": each.id, "rule": each.rule, "slice": _slice_text(each.slice), "from": each.from_ms, "until": each.until_ms}
        for each in lasting
    ]


def webhook_rows(sender: WebhookSender | None) -> list[Row] | None:
    """Each webhook with its counts and its last deliveries, the newest first; None for recorded files."""
    if sender is None:
        return None
    return [
        {
            "host": webhook.host,
            "shape": webhook.shape,
            "counts": _counts(sender, number),
            "failing": bool(sender.deliveries[number]) and sender.deliveries[number][-1].outcome == "failed",
            "deliveries": [
                {
                    "at": each.at_ms,
                    "title": each.title,
                    "sent": each.sent,
                    "outcome": each.outcome,
                    "answer": each.answer,
                    "attempts": format_count(each.attempts, "attempt"),
                }
                for each in reversed(sender.deliveries[number])
            ],
        }
        for number, webhook in enumerate(sender.webhooks)
    ]


def _rule_row(state: RuleState) -> Row:
    rule, reading = state.rule, state.reading
    slice_of = dict(zip(rule.by, reading.names, strict=True)) if reading is not None else {}
    return {
        "name": rule.name,
        "severity": rule.severity,
        "state": state.word,
        "state_text": f"{STATES[state.word]}: {len(state.open)}" if len(state.open) > 1 else STATES[state.word],
        "what": _rule_in_words(rule),
        "value": shown(rule, reading.value) if reading is not None else "–",
        "of": _slice_text(slice_of) if slice_of else "",
        "n": format_count(reading.sessions, "operation" if rule.measures_network else "session") if reading is not None else "",
        "slices": reading.slices if reading is not None and rule.by else 0,
        "limit": shown(rule, reading.limit) if reading is not None and reading.limit is not None else _fixed_limit(rule),
        "at": reading.at_ms if reading is not None else None,
        "since": state.since_ms,
    }


def _rule_in_words(rule: Rule) -> str:
    """The rule in words, such as `Continuity below 95.00 %, by ISP`."""
    limit = f"{'above' if rule.worse_is_higher else 'below'} {_fixed_limit(rule) if rule.deviates is None else 'its baseline'}"
    where = "".join(f", only {dimension_name(name)} {place_name(value)}" for name, value in rule.where.items())
    by = f", by {', '.join(map(dimension_name, rule.by))}" if rule.by else ""
    title = measure_title(rule)
    begin = title if title == rule.measure else f"{title[:1].upper()}{title[1:]}"  # the name of a value stays as it is
    return f"{begin} {limit}{by}{where}"


def _fixed_limit(rule: Rule) -> str:
    limit = rule.below if rule.below is not None else rule.above
    return "no baseline yet" if limit is None else shown(rule, limit)


def _slice_text(chosen: Mapping[str, str] | None) -> str:
    if chosen is None:
        return "all slices"
    return ", ".join(f"{dimension_name(name)} {place_name(value)}" for name, value in chosen.items()) or "all end hosts"


def _note(note: Silence | Acknowledgement) -> Row:
    return {"comment": note.comment, "by": note.by}


def _counts(sender: WebhookSender, number: int) -> str:
    counts = dict(sender.counts_of[number]) | {"waiting": sender.waiting(number)}
    return ", ".join(f"{count:,} {outcome}" for outcome, count in counts.items())


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
