"""The alerts that a timeline marks, their order, and where they lead."""

from dataclasses import replace

from feedback_analysis.measures.selection import Span
from monitor_platform.alerts.alert_watch import AlertWatch, ExplainedAlert
from monitor_platform.alerts.detector import Alert
from monitor_platform.alerts.evidence import Evidence
from monitor_platform.alerts.rules import Rule
from monitor_platform.dashboard.alert_marks import COLOURS, address, in_words, marks, minutes_of, within
from monitor_platform.dashboard.alerts_page import open_alerts

MINUTE_MS = 60_000
RULE = Rule(name="stalls", measure="continuity", by=("isp",), where={}, below=0.9)


def alert(isp="HGC", *, began=10, ended=None, severity="warning", rule=RULE):
    """Minutes count from 0."""
    return Alert(
        rule=replace(rule, severity=severity),
        names=(isp,),
        began_ms=began * MINUTE_MS,
        ended_ms=None if ended is None else ended * MINUTE_MS,
        value=0.8,
        worst=0.7,
        limit=0.9,
        sessions=60,
    )


def shown(*alerts, begin=0, end=30, **where):
    explained = tuple(ExplainedAlert(alert=each, evidence=Evidence()) for each in alerts)
    return within(explained, Span(begin * MINUTE_MS, end * MINUTE_MS), where)


def test_alerts_of_the_shown_time_are_marked_and_others_not():
    before, during, later, open_alerts = alert(began=1, ended=4), alert(began=3, ended=8), alert(began=20), alert(began=2)
    assert shown(before, during, later, open_alerts, begin=5, end=10) == (during, open_alerts)


def test_a_replay_shows_what_was_known_at_its_clock():
    explained = [ExplainedAlert(alert=alert("HGC", began=10, ended=15), evidence=Evidence())]

    def known(clock):
        span, clock_ms = Span(0, clock * MINUTE_MS), clock * MINUTE_MS
        return [each.ended_ms for each in within(explained, span, {}, clock_ms=clock_ms)]

    # Its rule waits for two bad minutes, the first of which ends at 10.
    assert [known(clock) for clock in (10.99, 11, 14.99, 15, 16)] == [[], [None], [None], [15 * MINUTE_MS], [15 * MINUTE_MS]]
    over, to_come = alert("HGC", ended=12, severity="critical"), alert("PCCW", began=20)
    watch = AlertWatch((RULE,), explained.append)
    watch.alerts = tuple(ExplainedAlert(alert=each, evidence=Evidence()) for each in (over, to_come))
    counted = [open_alerts(watch, None if clock is None else clock * MINUTE_MS)["number"] for clock in (5, 11, 12, 21, None)]
    assert counted == [0, 1, 0, 1, 1]


def test_an_alert_of_another_slice_is_not_marked_and_one_that_spans_it_is():
    everybody = alert(rule=replace(RULE, by=()))
    everybody = replace(everybody, names=())
    of_channel = alert(rule=replace(RULE, where={"channel": "ch1"}))
    alerts = (alert("HGC"), alert("PCCW"), everybody, of_channel)
    assert shown(*alerts, isp="HGC") == (alerts[0], everybody, of_channel)
    assert shown(*alerts, channel="ch2") == alerts[:3]


def test_severe_and_open_alerts_are_listed_first_and_the_rest_is_counted():
    over, mild, grave = alert(ended=12, severity="critical"), alert(severity="info"), alert(severity="critical")
    shown_alerts = in_words((over, mild, grave))
    assert [(each["severity"], each["until"]) for each in shown_alerts["shown"]] == [("critical", None), ("info", None)]
    assert shown_alerts["more"] == 1


def test_severe_alerts_are_drawn_over_the_others():
    drawn = marks((alert(severity="critical"), alert(severity="info")))
    assert [each.colour for each in drawn] == [COLOURS["info"], COLOURS["critical"]]
    assert drawn[-1].text == "critical: stalls: Continuity of ISP HGC is below 90.00 %"


def test_a_closed_alert_leads_to_its_own_minutes_and_an_open_one_to_now():
    over, open_alerts = alert(ended=12), alert()
    assert address("/", over, minutes_of(over)) == "/?isp=HGC&measure=continuity&from=540000&to=720000"
    assert address("/sessions", open_alerts, minutes_of(open_alerts)) == "/sessions?isp=HGC&measure=continuity"
