"""What silences and acknowledgements cover, what webhooks get meanwhile, and that both survive a restart."""

import asyncio

import pytest

from feedback_analysis.time_units import DAY_MS, HOUR_MS, MINUTE_MS
from feedback_wire.problem import Problem
from monitor_platform.alerts.alert_watch import ExplainedAlert
from monitor_platform.alerts.detector import Alert
from monitor_platform.alerts.evidence import Evidence
from monitor_platform.alerts.held_back import HeldBack
from monitor_platform.alerts.rules import Rule
from monitor_platform.alerts.silences import MOST_SILENCES, Acknowledgement, Silence, Silences, acknowledgement_of, silence_of

RULE = Rule(name="stalls", measure="continuity", by=("isp",), where={}, below=0.9)
NOW_MS = 1_344_331_800_000


def alert(isp="HGC", *, began_ms=NOW_MS, ended_ms=None, rule=RULE):
    settings = {"value": 0.8, "worst": 0.7, "limit": 0.9, "sessions": 60}
    return Alert(rule=rule, names=(isp,), began_ms=began_ms, ended_ms=ended_ms, **settings)


def explained(**settings):
    return ExplainedAlert(alert=alert(**settings), evidence=Evidence())


def parsed(*, now_ms=NOW_MS, **body):
    return silence_of({"rule": "stalls", "minutes": 60} | body, (RULE,), by="王小明", now_ms=now_ms)


def test_a_silence_covers_its_slice_or_the_whole_rule_and_no_other():
    of_slice, of_rule = parsed(slice={"isp": "HGC"}), parsed()
    assert [of_slice.covers(alert(isp)) for isp in ("HGC", "PCCW")] == [True, False]
    assert [of_rule.covers(alert(isp)) for isp in ("HGC", "PCCW")] == [True, True]
    assert not of_rule.covers(alert(rule=Rule(name="other", measure="mos", by=("isp",), where={}, below=3)))


def test_a_silence_ends_by_itself_or_when_a_user_ends_it_and_the_longest_one_counts(tmp_path):
    async def story():
        silences = Silences(tmp_path / "notes")
        short, long = parsed(minutes=1, slice={"isp": "HGC"}), parsed(minutes=60)
        await silences.add(short, NOW_MS)
        await silences.add(long, NOW_MS)
        assert silences.active(NOW_MS) == (short, long)
        assert silences.of(alert(), NOW_MS) == long
        assert silences.active(NOW_MS + MINUTE_MS) == (long,)
        again = Silences(tmp_path / "notes")
        assert again.active(NOW_MS) == (short, long)
        assert await again.end(long.id, NOW_MS) == long
        assert again.of(alert("PCCW"), NOW_MS) is None
        with pytest.raises(Problem, match="has ended"):
            await again.end(long.id, NOW_MS)
        assert Silences(tmp_path / "notes").active(NOW_MS) == (short,)

    asyncio.run(story())


def test_an_acknowledgement_is_of_one_alert_and_survives_a_restart(tmp_path):
    body = {"rule": "stalls", "slice": {"isp": "HGC"}, "from": NOW_MS, "comment": " on it "}
    made = acknowledgement_of(body, (RULE,), by="王小明", now_ms=NOW_MS + 5)
    assert made == Acknowledgement(
        rule="stalls", slice={"isp": "HGC"}, began_ms=NOW_MS, at_ms=NOW_MS + 5, comment="on it", by="王小明"
    )
    asyncio.run(Silences(tmp_path).acknowledge(made))
    again = Silences(tmp_path)
    assert again.acknowledgement_of(alert()) == made
    assert again.acknowledgement_of(alert(began_ms=NOW_MS + MINUTE_MS)) is None


def test_a_silence_that_was_added_under_a_later_date_lasts_for_its_length_from_now_on(tmp_path):
    """It silenced its rule until that date, for 400 days."""

    async def scenario() -> None:
        silences = Silences(tmp_path)
        right, wrong = parsed(minutes=30), parsed(now_ms=NOW_MS + 400 * DAY_MS)
        await silences.add(right, NOW_MS)
        await silences.add(wrong, NOW_MS)
        await silences.begin_by(NOW_MS)
        assert [(each.id, each.until_ms) for each in silences.active(NOW_MS)] == [
            (right.id, right.until_ms),
            (wrong.id, NOW_MS + HOUR_MS),
        ]
        changes = silences.changes
        await silences.begin_by(NOW_MS + 1)
        assert silences.changes == changes
        assert Silences(tmp_path).active(NOW_MS) == silences.active(NOW_MS)

    asyncio.run(scenario())


def test_the_number_of_silences_is_limited_and_ended_ones_do_not_count(tmp_path):
    async def story():
        silences = Silences(tmp_path)
        many = tuple(Silence(rule="stalls", slice=None, from_ms=0, until_ms=NOW_MS + 1) for _ in range(MOST_SILENCES))
        await silences._silences.change(lambda _: many)
        with pytest.raises(Problem, match="there are 1,000 silences"):
            await silences.add(parsed(), NOW_MS)
        await silences.add(parsed(), NOW_MS + 1)
        assert len(silences.active(NOW_MS + 1)) == 1

    asyncio.run(story())


def test_a_change_that_the_disk_refuses_has_no_effect(tmp_path):
    (tmp_path / "notes").write_text("a file where the folder should be")

    async def story():
        silences = Silences(tmp_path / "other")
        silences._silences._path = tmp_path / "notes" / "silences.json"
        with pytest.raises(Problem, match="nothing has changed") as refused:
            await silences.add(parsed(), NOW_MS)
        assert refused.value.status == 503
        assert (silences.active(NOW_MS), silences.changes) == ((), 0)

    asyncio.run(story())


@pytest.mark.parametrize("text", ["{", '{"version": 2, "notes": []}', '{"version": 1, "notes": [{"rule": "x"}]}', "[" * 100_000])
def test_a_file_that_cannot_be_read_is_named_at_the_start(text, tmp_path):
    (tmp_path / "silences.json").write_text(text)
    with pytest.raises(ValueError, match=r"silences\.json cannot be read.*move it away"):
        Silences(tmp_path)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"rule": "unknown"}, "name of a rule"),
        ({"slice": {}}, "each of the rule's dimensions"),
        ({"slice": {"isp": 3}}, "each of the rule's dimensions"),
        ({"minutes": 0}, "from 1 to"),
        ({"minutes": float("nan")}, "from 1 to"),
        ({"minutes": True}, "from 1 to"),
        ({"comment": "x" * 501}, "at most 500"),
        ({"until": 5}, "'until' is unknown"),
    ],
)
def test_a_bad_field_of_a_silence_is_named(body, words):
    with pytest.raises(ValueError, match=words):
        parsed(**body)


def test_webhooks_get_nothing_of_a_silenced_alert():
    held = HeldBack()
    assert not held.passes(explained(), silenced=True)
    assert not held.passes(explained(ended_ms=NOW_MS + MINUTE_MS), silenced=True)
    assert held.silenced == 2
    assert held.released(lambda _: False) == []


def test_webhooks_get_the_start_when_the_silence_of_an_open_alert_ends_and_then_its_end():
    held, begin = HeldBack(), explained()
    assert not held.passes(begin, silenced=True)
    assert held.released(lambda _: True) == []
    assert held.released(lambda _: False) == [begin]
    assert held.released(lambda _: False) == []
    assert held.passes(explained(ended_ms=NOW_MS + MINUTE_MS), silenced=False)


def test_webhooks_do_not_get_the_end_of_an_alert_without_its_start():
    held = HeldBack()
    held.passes(explained(), silenced=True)
    assert not held.passes(explained(ended_ms=NOW_MS + MINUTE_MS), silenced=False)
    assert held.passes(explained(isp="PCCW"), silenced=False)
