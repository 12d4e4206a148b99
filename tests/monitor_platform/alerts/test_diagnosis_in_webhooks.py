"""The notification that a diagnosis has ended, in the format of each service, to receivers that refuse what the service refuses."""

import asyncio

import pytest

from feedback_analysis.diagnosis.diagnosis_facts import as_json as facts_of
from feedback_analysis.diagnosis.diagnosis_facts import headline
from feedback_analysis.diagnosis.rule_table import diagnose
from feedback_analysis.diagnosis.verdict import Diagnosis
from monitor_platform.alerts.alert_diagnoses import AlertDiagnosis
from monitor_platform.alerts.alert_text import as_json, link
from monitor_platform.alerts.detector import Alert
from monitor_platform.alerts.evidence import Evidence
from monitor_platform.alerts.rules import rule_of
from monitor_platform.alerts.webhooks import Notification
from tests.feedback_analysis.diagnosis.scenarios import Measurements
from tests.harness.measurements import BEGIN_MS
from tests.monitor_platform.alerts.test_webhooks import deliver

STALLS = rule_of({"name": "stalls", "measure": "continuity", "by": "isp", "below": 0.9, "diagnose": True})
AS_DISCORD = {"content", "allowed_mentions"}
VERDICT = "shared_hop after 10.1.0.1 on the way to 10.8.0.1 (high confidence)"


def discord(sent):
    """Status 400 for what Discord's webhooks refuse (Execute Webhook: `content` has 1 to 2,000 characters)."""
    return 204 if set(sent) == AS_DISCORD and 1 <= len(sent["content"]) <= 2000 else 400


def slack(sent):
    """Status 400 for what Slack's incoming webhooks refuse (`no_text`), and for a control sequence beside the link."""
    text = sent.get("text", "")
    return 200 if text and len(text) <= 40_000 and text.count("<") == 1 and text.endswith("|dashboard>") else 400


def located():
    """A link that only the lossy paths have."""
    measured = Measurements()
    for agent in ("a", "b"):
        measured.path(agent, "10.9.0.1", f"10.0.0.{ord(agent)}", "10.1.0.1", "10.8.0.1", lost=30)
        measured.path(agent, "10.1.0.9", f"10.0.0.{ord(agent)}", "10.1.0.1")
    measured.path("c", "10.9.0.1", "10.3.0.1", "10.8.0.1")
    return diagnose(measured)


def notification(found: Diagnosis, isp: str = "HGC") -> Notification:
    alert = Alert(rule=STALLS, names=(isp,), began_ms=BEGIN_MS, value=0.6, worst=0.5, limit=0.9, sessions=40)
    diagnosis = AlertDiagnosis(
        rule=STALLS.name,
        slice=alert.slice,
        began_ms=BEGIN_MS,
        at_ms=BEGIN_MS,
        state="done",
        requests=("r1",),
        text=headline(found),
        facts=facts_of(found),
    )
    facts = as_json(alert, Evidence(), diagnosis)
    return Notification(facts=facts, link=link(alert, "https://monitor.example.org"), diagnosed=True)


def sent_to(receiver, shape, news):
    """The body that a receiver accepts at the first attempt."""
    counts, received = asyncio.run(deliver(receiver, shape, news, until=lambda counts, _: counts["sent"] or counts["failed"]))
    assert (counts["sent"], counts["failed"], len(received)) == (1, 0, 1), received
    return received[0]


def test_chats_get_the_verdict_of_a_diagnosis_in_one_line_after_the_title_of_the_alert():
    news = notification(located())
    expected = f"Diagnosis: stalls: Continuity of ISP HGC is below 90.00 %\n{VERDICT}\n<{news.link}"
    assert sent_to(discord, "discord", news)["content"] == expected + ">"
    assert sent_to(slack, "slack", news)["text"] == expected + "|dashboard>"


def test_scripts_get_the_verdict_with_its_evidence():
    sent = sent_to(lambda _sent: 204, "json", notification(located()))
    [verdict] = sent["diagnosis"]["verdicts"]
    assert (sent["diagnosis"]["text"], verdict["cause"], verdict["confidence"]) == (VERDICT, "shared_hop", "high")
    assert verdict["evidence"][0]["numbers"]["bad"] == 30
    assert verdict["evidence"][0]["operation_ids"]


@pytest.mark.parametrize("isp", ["<!channel> & co", "香" * 120, "x" * 3000], ids=["markup", "long link", "longer than a message"])
def test_what_the_services_limit_or_interpret_costs_no_notification(isp):
    measured = Measurements()
    for number in range(60):
        measured.ping(f"agent-{number}", f"10.9.0.{number}", lost=40)
    news = notification(diagnose(measured), isp)
    content = sent_to(discord, "discord", news)["content"]
    assert content.startswith("Diagnosis: stalls")
    assert isp[:20] in content
    assert "Diagnosis: stalls" in sent_to(slack, "slack", news)["text"]
    assert len(sent_to(lambda _sent: 204, "json", news)["diagnosis"]["not_enough_evidence"]) == 60
