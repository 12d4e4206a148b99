"""The documentation names every measure and every number, so it is tested like any other interface."""

from pathlib import Path

import pytest

from feedback_analysis.measures.definitions import DEFINITIONS
from feedback_analysis.measures.registry import MEASURES
from feedback_analysis.measures.selection import DIMENSIONS
from feedback_analysis.measures.summary import summarize

DOCUMENT = (Path(__file__).parents[3] / "docs" / "measures.md").read_text()


@pytest.mark.parametrize("measure", MEASURES.values(), ids=lambda measure: measure.name)
def test_a_measure_is_documented_with_the_views_that_can_show_it(measure):
    ticks = " | ".join("✓" if view in measure.views else "" for view in ("timeline", "region", "histogram"))
    [line] = [line for line in DOCUMENT.splitlines() if line.startswith(f"| `{measure.name}` |") and line.count("|") == 6]
    assert line.endswith(f"| {ticks} |".replace("|  |", "| |").replace("|  |", "| |"))


def test_every_number_of_a_summary_is_defined(table_of):
    assert [name for name in summarize(table_of()) if f"`{name}`" not in DOCUMENT] == []


def test_every_column_to_group_by_is_listed():
    assert [name for name in DIMENSIONS if f"`{name}`" not in DOCUMENT] == []


def test_every_measure_has_a_definition_that_adds_to_its_title():
    assert [name for name in MEASURES if name not in DEFINITIONS] == []
