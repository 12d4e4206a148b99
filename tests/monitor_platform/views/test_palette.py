"""Colours and words mean the same on every view."""

import re
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

import monitor_platform
from feedback_analysis.measures.registry import MEASURES
from monitor_platform.views.number_format import format_change, format_count, format_share, format_value, title_of
from monitor_platform.views.palette import (
    ACCENT,
    GRADE_COLOURS,
    GROUND,
    MOS_SCALE,
    NO_DATA,
    UNCHANGED,
    grade,
    legend_of,
    round_ends,
    scale_for,
)

finite = st.floats(min_value=-1e9, max_value=1e9, allow_subnormal=False)


def test_a_mos_has_the_colour_and_the_word_of_its_nearest_grade():
    assert [grade(mos) for mos in (1.0, 2.4, 2.6, 3.82, 5.0)] == ["bad", "poor", "fair", "good", "excellent"]
    assert [GRADE_COLOURS.index(MOS_SCALE.colour(mos)) for mos in (1.0, 2.4, 2.6, 3.82, 5.0)] == [0, 1, 2, 3, 4]


def test_a_mos_beyond_the_scale_has_the_colour_of_its_end():
    assert MOS_SCALE.colour(5.9) == GRADE_COLOURS[-1]
    assert MOS_SCALE.colour(-3.0) == GRADE_COLOURS[0]


@given(st.lists(finite, min_size=1, max_size=20))
def test_the_ends_of_a_scale_enclose_all_values_and_differ(values):
    low, high = round_ends(values)
    slack = 1e-9 * max(1.0, abs(low), abs(high))
    assert low < high
    assert low - slack <= min(values) <= max(values) <= high + slack


def test_the_ends_are_round_numbers():
    assert round_ends([412.0, 873.0]) == (400, 1000)
    assert round_ends([]) == (0, 1)
    assert round_ends([7.0]) == (6, 8)


def test_a_scale_ignores_missing_values():
    scale = scale_for([None, 3.0, float("nan"), 9.0])
    assert (scale.low, scale.high) == (2, 10)


def test_the_legend_shows_grades_in_words_and_quantities_in_numbers():
    words = legend_of(MOS_SCALE)
    assert words.stepped
    assert [text for _, text in words.marks] == ["1 bad", "2 poor", "3 fair", "4 good", "5 excellent"]
    numbers = legend_of(scale_for([0.0, 1000.0]))
    assert not numbers.stepped
    assert numbers.marks == ((0.0, "0"), (0.25, "250"), (0.5, "500"), (0.75, "750"), (1.0, "1,000"))


def test_numbers_have_thousands_separators_and_units():
    assert format_value(MEASURES["download_kbps"], 861.4) == "861\u202fkbit/s"
    assert format_value(MEASURES["download_kbps"], 1204.4) == "1.20\u202fMbit/s"
    assert format_value(MEASURES["download_kbps"], 861.4, largest=1204.4) == "0.86\u202fMbit/s"
    assert format_value(MEASURES["download_kbps"], 1204.4, largest=0) == "1,204\u202fkbit/s"
    assert format_value(MEASURES["startup_ms"], 1250.0) == "1.25\u202fs"
    assert format_value(MEASURES["mos"], 3.816) == "3.82"
    assert format_value(MEASURES["mos"], None) == format_value(MEASURES["mos"], float("nan")) == "–"
    assert (format_count(1, "peer"), format_count(6941.0, "peer")) == ("1 peer", "6,941 peers")
    assert (format_share(0.325, digits=2), format_share(0.04)) == ("32.50\u202f%", "4\u202f%")


def test_a_title_names_the_unit_unless_it_already_contains_it():
    assert format_change(MEASURES["continuity"], -0.0092) == "−0.92\u202fpoints"
    assert title_of(MEASURES["upload_kbps"]) == "Upload rate (kbit/s)"
    assert title_of(MEASURES["upload_kbps"], 4000) == "Upload rate (Mbit/s)"
    assert title_of(MEASURES["concurrent_peers"]) == "Concurrent peers"


def test_the_legend_of_the_maps_has_the_colours_of_the_maps():
    styles = (Path(monitor_platform.__file__).parent / "dashboard/assets/dashboard.css").read_text()
    drawn = dict(re.findall(r'\.patterns \[data-kind="(\w+)"\]::before \{ (.*) \}', styles))
    assert drawn["empty"] == f"border-color: {GROUND}; background: {_css(NO_DATA)};"
    assert drawn["same"] == f"background: {_css(UNCHANGED)};"
    assert drawn["chosen"] == f"border: 3px solid {ACCENT};"


def _css(colour: str) -> str:
    """A colour `rgba(r, g, b, 0.12)` as our styles write it."""
    red, green, blue, alpha = re.findall(r"[\d.]+", colour)
    return f"rgb({red} {green} {blue} / {alpha.removeprefix('0')})"
