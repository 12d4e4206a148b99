"""Rules over real logs: what is found, why, and that live and recorded logs give the same alerts."""

import json
from collections import defaultdict
from dataclasses import replace

import pytest

from feedback_analysis.geo.locator import locator_for
from feedback_analysis.location_settings import LocationSettings
from feedback_analysis.measures.selection import Span
from feedback_analysis.measures.summary import summarize
from feedback_analysis.quality.all_models import all_models
from feedback_analysis.time_units import DAY_MS, HOUR_MS, MINUTE_MS
from monitor_platform.alerts import alert_watch
from monitor_platform.alerts.alert_watch import AlertWatch
from monitor_platform.alerts.dry_run import dry_run
from monitor_platform.alerts.observations import observations
from monitor_platform.alerts.recorded_alerts import evaluate_logs
from monitor_platform.alerts.rules import Rule
from tests.harness.logs import BEGIN_MS, record, write_log
from tests.harness.processes import run_swarmscope

RULE = Rule(name="stalls", measure="continuity", by=("isp",), where={}, below=0.9, for_minutes=2, least_sessions=25)
MINUTES = 10
BAD = range(3, 7)


def evening_with_stalls():
    """Two ISPs with 60 sessions each for ten minutes; HGC's mobiles stall in minutes 3 to 6, in more sessions each minute."""
    records = []
    for minute in range(MINUTES):
        for isp in ("HGC", "PCCW"):
            for number in range(60):
                mobile = number < 30
                bad = isp == "HGC" and minute in BAD and mobile
                records.append(
                    record(
                        received_ms=BEGIN_MS + minute * MINUTE_MS + number * 900,
                        peer_id=f"{isp}-{number}",
                        session_id=f"{isp}-{number}",
                        seq=minute,
                        isp=isp,
                        platform="mobile" if mobile else "desktop",
                        continuity=0.5 + number / 100 if bad else 1,
                        playback_kbps=850,
                    )
                )
    return records


def test_each_minutes_value_is_the_summarys(table_of):
    table = table_of(evening_with_stalls())
    seen = observations(table, rule=RULE, span=Span(BEGIN_MS, BEGIN_MS + MINUTES * MINUTE_MS))
    assert list(seen) == [BEGIN_MS + (minute + 1) * MINUTE_MS for minute in range(MINUTES)]
    for end_ms, each in seen.items():
        whole = summarize(table, span=Span(end_ms - MINUTE_MS, end_ms), by=("isp",))
        expected = {group["by"]["isp"]: (group["continuity"]["mean"], group["sessions"]) for group in whole["groups"]}
        assert {one.names[0]: (one.value, one.sessions) for one in each} == expected


def test_peers_are_counted_once_and_by_their_weight(table_of):
    twice = [record(peer_id=f"p{number % 5}", session_id=f"s{number}", weight=2) for number in range(10)]
    rule = Rule(name="few", measure="peers", where={}, below=1)
    [[one]] = observations(table_of(twice), rule=rule, span=Span(BEGIN_MS, BEGIN_MS + MINUTE_MS)).values()
    assert (one.value, one.sessions) == (10, 10)


def test_an_alert_names_the_bad_slice_and_the_worst_sessions(table_of):
    found_alerts = []
    watch = AlertWatch((RULE,), found_alerts.append)
    watch.evaluate(table_of(evening_with_stalls()), BEGIN_MS + MINUTES * MINUTE_MS)
    begun, ended = found_alerts
    assert begun.alert.slice == {"isp": "HGC"}
    assert begun.alert.began_ms == BEGIN_MS + 4 * MINUTE_MS
    assert ended.alert.ended_ms == BEGIN_MS + 9 * MINUTE_MS
    [guilty] = [each for each in begun.evidence.slices if each.dimension == "platform"]
    assert guilty.name == "mobile"
    assert [each.session_id for each in begun.evidence.sessions[:3]] == ["HGC-0", "HGC-1", "HGC-2"]
    assert max(each.value for each in ended.evidence.sessions) < begun.alert.limit
    [listed] = watch.alerts
    assert listed.alert.ended_ms == ended.alert.ended_ms


def test_sessions_within_the_limit_are_not_among_the_worst(table_of):
    shares = {"worst": 0.1, "bad": 0.2, "good": 0.95, "best": 1.0, "also-best": 1.0}
    found_alerts = []
    rule = replace(RULE, least_sessions=1, for_minutes=1)
    AlertWatch((rule,), found_alerts.append).evaluate(
        table_of([record(peer_id=name, session_id=name, isp="HGC", continuity=share) for name, share in shares.items()]),
        BEGIN_MS + MINUTES * MINUTE_MS,
    )
    assert [each.session_id for each in found_alerts[0].evidence.sessions] == ["worst", "bad"]


def test_evaluating_in_small_steps_gives_the_same_alerts_as_at_once(table_of):
    table = table_of(evening_with_stalls())
    at_once, step_by_step = [], []
    AlertWatch((RULE,), at_once.append).evaluate(table, BEGIN_MS + MINUTES * MINUTE_MS)
    watch = AlertWatch((RULE,), step_by_step.append)
    for at_s in range(0, MINUTES * 60 + 1, 7):
        watch.evaluate(table, BEGIN_MS + at_s * 1000)
    watch.evaluate(table, BEGIN_MS + MINUTES * MINUTE_MS)
    assert [each.alert for each in step_by_step] == [each.alert for each in at_once]


def test_the_command_lists_the_alerts_that_recorded_logs_would_have_raised(tmp_path):
    logs, rules = tmp_path / "logs", tmp_path / "rules.toml"
    records = evening_with_stalls()
    for minute in range(MINUTES):
        begins_ms = BEGIN_MS + minute * MINUTE_MS
        own = [each for each in records if begins_ms <= each["received_ms"] < begins_ms + MINUTE_MS]
        write_log(logs, own, begin_s=begins_ms // 1000)
    rules.write_text('[[rule]]\nname = "stalls"\nmeasure = "continuity"\nby = "isp"\nbelow = 0.9\n')
    shown = run_swarmscope("alerts", "test", rules, logs)
    assert "stalls: Continuity of ISP HGC is below 90.00 %" in shown.stdout
    assert "1 alerts from" in shown.stderr
    facts = run_swarmscope("alerts", "test", rules, logs, "--json").stdout
    begun, ended = map(json.loads, facts.splitlines())
    assert (begun["slice"], begun["until"], ended["until"]) == ({"isp": "HGC"}, None, BEGIN_MS + 9 * MINUTE_MS)
    assert begun["worst_sessions"][0]["session_id"] == "HGC-0"


def test_the_command_uses_custom_districts_and_the_configured_models(tmp_path):
    at_home = [each | {"ip": "1.36.209.7", "continuity": 0.5} for each in evening_with_stalls()]
    write_log(tmp_path / "logs", at_home)
    rules, wards = tmp_path / "rules.toml", tmp_path / "wards.geojson"
    rules.write_text('[[rule]]\nname = "bad"\nmeasure = "mos"\nwhere = {district = "All of it"}\nbelow = 5\n')
    ring = [[113, 22], [115, 22], [115, 23], [113, 23], [113, 22]]
    place = {"type": "Feature", "properties": {"name": "All of it"}, "geometry": {"type": "Polygon", "coordinates": [ring]}}
    wards.write_text(json.dumps({"type": "FeatureCollection", "features": [place]}))

    def found_alerts(*flags):
        shown = run_swarmscope("alerts", "test", rules, tmp_path / "logs", "--json", *flags)
        assert shown.returncode == 0, shown.stderr
        return [json.loads(line)["value"] for line in shown.stdout.splitlines()]

    assert found_alerts() == []
    [value] = found_alerts("--districts", str(wards))
    [better] = found_alerts("--districts", str(wards), "--mos-c1", "-0.5")
    assert value < better < 5


def test_invalid_rules_end_the_command_with_2(tmp_path):
    rules = tmp_path / "rules.toml"
    rules.write_text('[[rule]]\nname = "x"\nmeasure = "moss"\nbelow = 3\n')
    refused = run_swarmscope("alerts", "test", rules, tmp_path)
    assert refused.returncode == 2
    assert "'moss'" in refused.stderr


def test_other_rules_take_effect_and_a_rule_that_stays_keeps_its_state(table_of):
    table, changes = table_of(evening_with_stalls()), []
    watch = AlertWatch((RULE,), changes.append)
    watch.evaluate(table, BEGIN_MS + 6 * MINUTE_MS)
    all_of_it = replace(RULE, name="all", by=(), below=0.99)
    ended = replace(RULE, name="early", by=("platform",), above=0.999, below=None)
    watch.use(table, (all_of_it, RULE))
    # The new rule's alert is open already; the first rule has not begun again.
    assert [(each.alert.rule.name, each.alert.began_ms, each.alert.ended_ms) for each in changes] == [
        ("stalls", BEGIN_MS + 4 * MINUTE_MS, None),
        ("all", BEGIN_MS + 4 * MINUTE_MS, None),
    ]
    assert [state.rule.name for state in watch.states] == ["all", "stalls"]
    # A changed rule is another one: the alert of the old one ends.
    watch.use(table, (replace(RULE, below=0.1), ended))
    assert {(each.alert.rule.name, each.alert.ended_ms) for each in changes[2:4]} == {
        ("all", BEGIN_MS + 6 * MINUTE_MS),
        ("stalls", BEGIN_MS + 6 * MINUTE_MS),
    }
    assert [each.alert.rule.name for each in watch.open] == ["early"] * len(watch.open) != []
    watch.evaluate(table, BEGIN_MS + MINUTES * MINUTE_MS)
    assert watch.states[0].open == ()


def alerts_of(rule, *paths):
    with locator_for(LocationSettings()) as locator:
        return list(evaluate_logs((rule,), paths, locator, all_models(), lacks=print))


def test_copies_that_arrive_hours_later_raise_no_second_alert(tmp_path):
    evening = evening_with_stalls()
    write_log(tmp_path, evening)
    seen = alerts_of(RULE, tmp_path)
    later = [each | {"received_ms": each["received_ms"] + 5 * HOUR_MS} for each in evening]
    write_log(tmp_path, later, begin_s=BEGIN_MS // 1000 + 5 * 3600)
    assert alerts_of(RULE, tmp_path) == seen
    again = [each | {"session_id": f"again-{each['session_id']}"} for each in later]
    write_log(tmp_path, again, begin_s=BEGIN_MS // 1000 + 5 * 3600 + 1)
    assert len(alerts_of(RULE, tmp_path)) == 2 * len(seen) == 4


def test_every_hour_of_a_log_that_covers_a_day_is_evaluated(tmp_path):
    quiet = [record(session_id="s", seq=hour, received_ms=BEGIN_MS + hour * HOUR_MS, continuity=1) for hour in range(12)]
    late = [each | {"received_ms": each["received_ms"] + 11 * HOUR_MS} for each in evening_with_stalls()]
    write_log(tmp_path, [*quiet, *late])
    assert [each.alert.began_ms for each in alerts_of(RULE, tmp_path)] == [BEGIN_MS + 11 * HOUR_MS + 4 * MINUTE_MS] * 2


def test_a_dry_run_finds_the_alerts_that_the_platform_finds(table_of):
    table, changes = table_of(evening_with_stalls()), []
    until_ms = BEGIN_MS + MINUTES * MINUTE_MS
    watch = AlertWatch((RULE,), changes.append)
    watch.evaluate(table, until_ms)
    found = dry_run(table, RULE, until_ms)
    assert found.alerts == tuple(each.alert for each in watch.alerts) != ()
    assert (found.span, found.reading) == (Span(BEGIN_MS, until_ms), watch.states[0].reading)
    early = dry_run(table, RULE, BEGIN_MS + 6 * MINUTE_MS)
    assert [alert.ended_ms for alert in early.alerts] == [None]
    assert dry_run(table, RULE, BEGIN_MS).alerts == ()


@pytest.mark.parametrize("wrong_ms", [400 * DAY_MS, -400 * DAY_MS, HOUR_MS])
def test_alerts_begin_and_end_as_before_after_the_platforms_clock_was_wrong_for_a_while(table_of, wrong_ms):
    """After a date 400 days ahead, no minute was evaluated for 400 days."""
    table, found = table_of(evening_with_stalls()), []
    watch = AlertWatch((RULE,), found.append)
    watch.evaluate_live(table, BEGIN_MS + 2 * MINUTE_MS)
    watch.evaluate_live(table, BEGIN_MS + 2 * MINUTE_MS + wrong_ms)
    found.clear()
    for minute in range(3, MINUTES + 1):
        watch.evaluate_live(table, BEGIN_MS + minute * MINUTE_MS)
    begun, ended = found[-2:]
    assert (begun.alert.began_ms, ended.alert.ended_ms) == (BEGIN_MS + 4 * MINUTE_MS, BEGIN_MS + 9 * MINUTE_MS)
    assert [each.alert.began_ms for each in watch.alerts] == [begun.alert.began_ms]
    assert watch.open == ()


def test_a_step_of_the_clock_by_400_days_evaluates_one_day(table_of, monkeypatch):
    asked = []
    monkeypatch.setattr(alert_watch, "observations_of", lambda *_, span, **__: asked.append(span) or defaultdict(list))
    watch = AlertWatch((RULE,), lambda _: None)
    table = table_of(evening_with_stalls())
    watch.evaluate_live(table, BEGIN_MS + MINUTES * MINUTE_MS)
    asked.clear()
    watch.evaluate_live(table, BEGIN_MS + MINUTES * MINUTE_MS + 400 * DAY_MS)
    assert sum(span.to_ms - span.from_ms for span in asked) == DAY_MS
