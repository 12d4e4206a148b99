"""The figures of docs/scores-and-people.md that can be computed here, from a public set of ratings and through real log files."""

import csv
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from feedback_analysis.messages.load import open_logs
from feedback_analysis.quality.all_models import all_models, mos_of
from feedback_wire.log_name import Form
from tests.harness.logs import BEGIN_MS, record, write_log

RATINGS = Path(__file__).parents[4] / "shared" / "data" / "mos" / "QoEcontrolledLab.csv"
DOCUMENT = Path(__file__).parents[3] / "docs" / "scores-and-people.md"
CLIP_S = 60

pytestmark = pytest.mark.skipif(not RATINGS.is_file(), reason=f"the ratings of QoEcontrolledLab are not in {RATINGS}")


@pytest.fixture(scope="module")
def rated():
    """Bitrate in kbit/s and rating, 1 to 5, of each session."""
    with RATINGS.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter=";"))
    return np.array([[float(row[name].replace(",", ".")) for name in ("bitrate_video", "mos")] for row in rows])


def log_of(folder, sessions):
    """A log of sessions, each given as messages of (kbit/s, continuity)."""
    sent = [
        record(session_id=f"s{at:04}", peer_id=f"p{at}", seq=seq, received_ms=BEGIN_MS + seq, playback_kbps=kbps, continuity=played)
        for at, messages in enumerate(sessions)
        for seq, (kbps, played) in enumerate(messages)
    ]
    return write_log(folder, sent, Form.PARQUET)


def scored(log, locator, calibration):
    """The mean score of each session."""
    mos = mos_of(all_models(settings=[f"mos.calibration={calibration}"]))
    with closing(open_logs([log], locator=locator, mos=mos)) as table, table.reading() as cursor:
        found = cursor.execute("SELECT avg(mos) FROM feedback GROUP BY session_id ORDER BY session_id").fetchall()
    return np.array([score for (score,) in found])


@pytest.mark.parametrize(
    ("calibration", "pearson", "interval", "level", "rmse"),
    [("ceiling", 0.42, (0.35, 0.49), 0.78, 1.60), ("public", 0.38, (0.31, 0.45), 0.16, 1.32)],
)
def test_the_documented_agreement_with_ratings_is_reproduced(tmp_path, locator, rated, calibration, pearson, interval, level, rmse):
    scores = scored(log_of(tmp_path, [[(kbps, 1.0)] for kbps, _ in rated]), locator, calibration)
    errors = scores - rated[:, 1]
    r = np.corrcoef(scores, rated[:, 1])[0, 1]
    low, high = np.tanh(np.arctanh(r) + np.array([-1.96, 1.96]) / np.sqrt(len(scores) - 3))
    assert (len(scores), round(r, 2), (round(low, 2), round(high, 2))) == (562, pearson, interval)
    assert (round(errors.mean(), 2), round(np.sqrt((errors**2).mean()), 2)) == (level, rmse)
    low, high = interval
    assert f"{pearson} [{low}, {high}] | +{level} | {rmse:.2f}" in DOCUMENT.read_text(encoding="utf-8")


def clip(kbps, case):
    """A minute, second by second: bitrate and whether it played."""
    seconds = np.arange(CLIP_S)
    stalled_s = {"a stall of 3 s": 3, "a stall of 6 s": 6}.get(case, 0)
    played = np.where((seconds >= 20) & (seconds < 20 + stalled_s), 0.0, 1.0)
    rate = np.where(seconds // 10 % 2, 1.75, 0.25) * kbps if case == "the bitrate changes every 10 s" else np.full(CLIP_S, kbps)
    return rate, played


def reported(kbps, case, period_s):
    """An end host's reports of that minute every `period_s`: the mean of each interval."""
    return list(zip(*(part.reshape(-1, period_s).mean(axis=1).tolist() for part in clip(kbps, case)), strict=True))


@pytest.mark.parametrize(
    ("case", "levels"),
    [
        ("a stall of 3 s", {"ceiling": (3.51, 3.44, 3.42), "public": (2.91, 2.78, 2.77), "none": (4.42, 4.42, 4.42)}),
        ("a stall of 6 s", {"ceiling": (3.40, 3.27, 3.20), "public": (2.84, 2.70, 2.49), "none": (4.17, 4.17, 4.17)}),
        (
            "the bitrate changes every 10 s",
            {"ceiling": (3.21, 3.21, 3.63), "public": (2.91, 2.91, 3.03), "none": (4.21, 4.21, 4.63)},
        ),
    ],
)
def test_the_mean_score_changes_with_the_reporting_period_as_documented(tmp_path, locator, rated, case, levels):
    logs = [log_of(tmp_path, [reported(kbps, case, period_s) for kbps, _ in rated]) for period_s in (2, 10, 30)]
    for calibration, documented in levels.items():
        found = [scored(log, locator, calibration) for log in logs]
        assert tuple(round(each.mean(), 2) for each in found) == documented
        row = f"| {case} | `{calibration}` | {' | '.join(f'{level:.2f}' for level in documented)} |"
        assert row in DOCUMENT.read_text(encoding="utf-8")
