"""The score is the paper's equation, and the paper's averages give the score of its figure."""

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedback_analysis.quality.mos import MosModel
from tests.feedback_analysis.quality import equation


def score(model, playback_kbps, continuity):
    sql = f"SELECT {model.sql()} FROM (SELECT $1::DOUBLE AS playback_kbps, $2::DOUBLE AS continuity)"
    [(found,)] = duckdb.execute(sql, [playback_kbps, continuity]).fetchall()
    return found


def test_the_papers_averages_give_the_score_of_its_figure():
    assert score(MosModel(), 850, 1 - 0.012) == pytest.approx(3.82, abs=0.005)


def test_the_bare_equation_scores_one_higher():
    assert score(MosModel(calibration="none"), 850, 1 - 0.012) == pytest.approx(4.82, abs=0.005)


def test_the_public_calibration_is_not_shifted_and_stays_within_1_and_5():
    model = MosModel.calibrated("public")
    assert score(model, 0, 1) == 2.2
    assert score(model, 10**9, 1) == pytest.approx(4.14)
    assert score(model, 0, 0) == 1
    assert score(MosModel.calibrated("public", a=9), 10**9, 1) == 5


def test_a_calibrated_score_stays_within_1_and_5():
    assert score(MosModel(), 10**9, 1) == 5
    assert score(MosModel(), 0, 0) == 1


def test_the_bare_equation_is_not_clamped():
    assert score(MosModel(calibration="none"), 10**9, 1) == 6
    assert score(MosModel(calibration="none"), 0, 0) == -3


@given(st.floats(0, 10**9), st.floats(0, 1), st.sampled_from(["ceiling", "public", "none"]), st.floats(-10, 10))
def test_sql_scores_as_the_equation_in_python_does(playback, continuity, calibration, c1):
    model = MosModel(c1=c1, calibration=calibration)
    assert score(model, playback, continuity) == pytest.approx(equation.score(model, playback, continuity), rel=1e-12)


@pytest.mark.parametrize("calibration", ["ceiling", "public", "none"])
@pytest.mark.parametrize(("playback", "continuity"), [(None, 1.0), (850.0, None)])
def test_without_playback_or_continuity_there_is_no_score(playback, continuity, calibration):
    model = MosModel(calibration=calibration)
    assert score(model, playback, continuity) is None


@pytest.mark.parametrize("wrong", [{"c1": float("nan")}, {"a": float("inf")}, {"lam": 0}, {"calibration": "5"}])
def test_invalid_constants_are_refused(wrong):
    with pytest.raises(ValueError, match=f"--mos-{next(iter(wrong)).replace('lam', 'lambda')} is"):
        MosModel(**wrong)
