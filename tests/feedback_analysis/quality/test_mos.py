"""The score is the paper's equation, and the paper's averages give the score of its figure."""

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedback_analysis.quality.mos import MosModel


def test_the_papers_averages_give_the_score_of_its_figure():
    assert MosModel().score(850, 1 - 0.012) == pytest.approx(3.82, abs=0.005)


def test_the_bare_equation_scores_one_higher():
    assert MosModel(calibration="none").score(850, 1 - 0.012) == pytest.approx(4.82, abs=0.005)


def test_the_public_calibration_is_not_shifted_and_stays_within_1_and_5():
    model = MosModel.calibrated("public")
    assert model.score(0, 1) == 2.2
    assert model.score(10**9, 1) == pytest.approx(4.14)
    assert model.score(0, 0) == 1
    assert MosModel.calibrated("public", a=9).score(10**9, 1) == 5


def test_a_calibrated_score_stays_within_1_and_5():
    assert MosModel().score(10**9, 1) == 5
    assert MosModel().score(0, 0) == 1


def test_the_bare_equation_is_not_clamped():
    assert MosModel(calibration="none").score(10**9, 1) == 6
    assert MosModel(calibration="none").score(0, 0) == -3


@given(st.floats(0, 10**9), st.floats(0, 1), st.sampled_from(["ceiling", "public", "none"]), st.floats(-10, 10))
def test_sql_scores_as_python_does(playback, continuity, calibration, c1):
    model = MosModel(c1=c1, calibration=calibration)
    sql = f"SELECT {model.sql()} FROM (SELECT $1::DOUBLE AS playback_kbps, $2::DOUBLE AS continuity)"
    [(score,)] = duckdb.execute(sql, [playback, continuity]).fetchall()
    assert score == pytest.approx(model.score(playback, continuity), rel=1e-12)


@pytest.mark.parametrize("calibration", ["ceiling", "public", "none"])
@pytest.mark.parametrize(("playback", "continuity"), [(None, 1.0), (850.0, None)])
def test_without_playback_or_continuity_there_is_no_score(playback, continuity, calibration):
    model = MosModel(calibration=calibration)
    sql = f"SELECT {model.sql()} FROM (SELECT $1::DOUBLE AS playback_kbps, $2::DOUBLE AS continuity)"
    assert duckdb.execute(sql, [playback, continuity]).fetchall() == [(None,)]


@pytest.mark.parametrize("wrong", [{"c1": float("nan")}, {"a": float("inf")}, {"lam": 0}, {"calibration": "5"}])
def test_invalid_constants_are_refused(wrong):
    with pytest.raises(ValueError, match=f"--mos-{next(iter(wrong)).replace('lam', 'lambda')} is"):
        MosModel(**wrong)
