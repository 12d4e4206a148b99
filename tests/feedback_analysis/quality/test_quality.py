"""Quality models give the published numbers, and their terms add up to the score."""

import math
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings

from feedback_analysis.measures.histogram import histogram
from feedback_analysis.measures.regions import by_region
from feedback_analysis.measures.registry import MEASURES, Kind
from feedback_analysis.measures.selection import Span
from feedback_analysis.messages.load import open_logs
from feedback_analysis.messages.message_timeline import timeline
from feedback_analysis.messages.scores import scores
from feedback_analysis.messages.table import FeedbackTable
from feedback_analysis.quality.all_models import ALL, NAMES, all_models, model_names, mos_from_flags, mos_of
from feedback_analysis.quality.model import coefficients
from feedback_analysis.quality.mos import MosModel
from feedback_analysis.score_flags import MosFlags
from tests.harness.logs import BEGIN_MS, add, record, records, write_log

SPAN = Span(BEGIN_MS, BEGIN_MS + 120_000)
REPEATS = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def total(table, name, **query):
    found = scores(table, [name], **query)
    return next(score[name] for group, score in found.items() if not any(group))


@pytest.mark.parametrize(
    ("stalls", "stalled_s", "score"),
    [(0, 0, 5.0), (1, 1, 3.5 * math.exp(-0.34) + 1.5), (2, 6, 3.5 * math.exp(-1.28) + 1.5), (100, 1000, 1.5)],
)
def test_stalls_cost_what_the_study_measured(table_of, stalls, stalled_s, score):
    table = table_of([record(stall_count=stalls, stall_ms=stalled_s * 1000)])
    assert total(table, "mos_stalling").mean == pytest.approx(score, rel=1e-9)


@pytest.mark.parametrize(("startup_ms", "score"), [(0, 100), (400, 95), (2000, 80), (8000, 50), (20_000, 29)])
def test_a_startup_scores_as_published(table_of, startup_ms, score):
    assert total(table_of([record(startup_ms=startup_ms)]), "startup_score").mean == pytest.approx(score, abs=0.5)


def test_linear_qoe_subtracts_stalls_and_switches_from_the_bitrate(table_of):
    first = record(seq=0, playback_kbps=1000, continuity=1)
    second = record(seq=1, playback_kbps=3000, continuity=0.5)
    found = total(table_of([second, first]), "qoe_linear")  # in any order of the file
    assert found.terms == {"bitrate": 2, "stalls": -8.6, "switches": -1}
    assert found.mean == pytest.approx(-7.6)


@pytest.mark.parametrize(("continuity", "stalled_s"), [(1, 0), (0.8, 1), (0.5, 4), (0.2, 16), (0.1, 30), (0, 30)])
def test_linear_qoe_charges_a_chunk_of_4_s_with_the_stalls_of_its_interval(table_of, continuity, stalled_s):
    found = total(table_of([record(playback_kbps=1000, continuity=continuity)]), "qoe_linear")
    assert found.terms["stalls"] == pytest.approx(-4.3 * stalled_s)


def test_linear_qoe_gives_no_score_without_continuity(table_of):
    assert total(table_of([record(playback_kbps=1000)]), "qoe_linear").n == 0


def test_sessions_are_good_if_they_start_soon_and_hardly_stall(table_of):
    good = record(session_id="good", startup_ms=4000, stall_ms=20, played_ms=980)
    late = record(session_id="late", startup_ms=4001, stall_ms=500, played_ms=500)
    stalled = record(session_id="stalled", startup_ms=100, stall_ms=21, played_ms=979)
    gone = record(session_id="gone", event="leave", played_ms=0)
    waiting = record(session_id="waiting", played_ms=0)
    found = total(table_of([good, late, stalled, gone, waiting]), "good_sessions")
    assert (found.n, found.mean) == (4, 0.25)
    assert found.terms == {"all_good": 1, "never_started": -0.25, "late": -0.25, "stalled": -0.25}


def test_a_session_is_scored_once_by_its_last_message(table_of):
    sent = [record(seq=seq, stall_count=seq, stall_ms=0) for seq in range(4)]
    found = total(table_of(sent), "mos_stalling")
    assert (found.n, found.mean) == (1, pytest.approx(3.5 * math.exp(-0.57) + 1.5))


@REPEATS
@given(records())
def test_terms_add_up_to_the_score(tmp_path_factory, locator, sent):
    table = FeedbackTable(locator, MosModel())
    if sent:
        add(table, write_log(tmp_path_factory.mktemp("logs"), sent))
    for group in scores(table, NAMES, by=("channel",)).values():
        for score in group.values():
            if score.mean is not None:
                assert sum(score.terms.values()) == pytest.approx(score.mean, abs=1e-9)
                assert score.p50 is not None
    table.close()


def test_the_default_model_gives_the_score_of_the_table(table_of):
    sent = [
        record(seq=seq, playback_kbps=rate, continuity=share) for seq, (rate, share) in enumerate([(850, 0.988), (5e5, 1), (0, 0)])
    ]
    table = table_of(sent)
    with table.reading() as cursor:
        [(mean,)] = cursor.execute("SELECT avg(mos) FROM feedback").fetchall()
    assert total(table, "mos").mean == pytest.approx(mean)


@pytest.mark.parametrize("name", NAMES)
def test_a_model_is_a_measure_of_every_view(table_of, name):
    sent = record(startup_ms=2000, stall_count=1, stall_ms=1000, played_ms=99_000, playback_kbps=850, continuity=0.9)
    table = table_of([sent, sent | {"seq": 1, "received_ms": BEGIN_MS + 1000}])
    score = pytest.approx(total(table, name).mean)
    [value] = timeline(table, measures=[name], span=SPAN, step_s=120, period_s=30).values[name]
    assert value == score
    assert [each.value for each in by_region(table, region="area", measure=name, span=SPAN)] == [score]
    assert histogram(table, measure=name, span=SPAN).peers == 1


def test_recorded_logs_are_scored_again_with_other_coefficients(tmp_path, locator):
    path = write_log(tmp_path, [record(stall_count=1, stall_ms=10_000, playback_kbps=850, continuity=1)])
    models = all_models(settings=["mos_stalling.length=0", "mos.c2=1", "mos.calibration=none"])
    table = open_logs([path], locator=locator, mos=mos_of(models), models=models)
    assert total(table, "mos_stalling").mean == pytest.approx(3.5 * math.exp(-0.19) + 1.5)
    assert total(table, "mos").terms["base"] == 1
    table.close()


@pytest.mark.parametrize(
    ("setting", "complaint"),
    [
        ("length=1", "MODEL.COEFFICIENT=VALUE"),
        ("mos_stalling.length", "MODEL.COEFFICIENT=VALUE"),
        ("nonsense.length=1", "not a quality model"),
        ("mos_stalling.depth=1", "length, number, fall, floor"),
        ("mos_stalling.length=long", "needs a number"),
        ("mos_stalling.length=nan", "0 to 10"),
        ("startup_score.half_s=0", "such as 8"),
        ("mos.lambda=0", "above 0"),
        ("mos.calibration=maybe", "ceiling"),
    ],
)
def test_an_invalid_setting_is_refused(setting, complaint):
    with pytest.raises(ValueError, match=complaint):
        all_models(settings=[setting])


def test_the_public_calibration_has_constants_of_its_own_that_can_be_set():
    fitted = MosModel(c1=-5.5, c2=2.2, a=1.94, lam=0.0006, calibration="public")
    assert mos_of(all_models(settings=["mos.calibration=public"])) == fitted
    assert mos_from_flags(MosFlags(mos_calibration="public")) == fitted
    assert mos_from_flags(MosFlags(mos_calibration="public", mos_a=2)) == replace(fitted, a=2)
    assert mos_of(all_models(MosFlags(mos_a=2), ["mos.calibration=public", "mos.a=3"])) == replace(fitted, a=3)
    assert mos_from_flags(MosFlags()) == MosModel()


def test_a_coefficient_without_effect_is_refused_from_any_source():
    for sent in (["mos.c2=1"], ["mos.calibration=ceiling", "mos.c2=1"]):
        with pytest.raises(ValueError, match="--mos-c2 is 1, and has no effect under --mos-calibration ceiling"):
            all_models(settings=sent)
    with pytest.raises(ValueError, match="leave it out, or choose --mos-calibration public or none"):
        mos_from_flags(MosFlags(mos_c2=1))
    assert mos_from_flags(MosFlags(mos_c2=2)) == MosModel()
    assert mos_of(all_models(MosFlags(mos_c2=1), ["mos.calibration=none"])).c2 == 1


def test_lambda_has_its_name_in_answers_and_in_settings():
    for name in ("lambda", "lam"):
        changed = mos_of(all_models(settings=[f"mos.{name}=0.002"]))
        assert coefficients(changed)["lambda"] == 0.002
        assert "lam" not in coefficients(changed)


def test_models_are_chosen_by_name():
    assert model_names("all") == NAMES
    assert model_names("qoe_linear, mos") == ("qoe_linear", "mos")
    with pytest.raises(ValueError, match="not a quality model"):
        model_names("mos,nonsense")


def test_every_model_names_its_source_and_is_a_measure():
    for model in ALL:
        assert MEASURES[model.name].kind in (Kind.MEAN, Kind.SESSION)
        module = __import__(model.__module__, fromlist=["__doc__"])
        assert model is MosModel or "Source: " in module.__doc__
