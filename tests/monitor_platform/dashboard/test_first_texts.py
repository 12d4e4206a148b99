"""The controls of a page have their texts before any script runs, so nothing changes when the data arrives."""

import pytest

from feedback_analysis.measures.selection import Span
from monitor_platform.dashboard.address_query import AddressQuery
from monitor_platform.dashboard.controls import compared_times, first_texts


@pytest.mark.parametrize(
    ("query", "live", "text"),
    [
        (AddressQuery(), True, "Last 15 min"),
        (AddressQuery(), False, "All"),
        (AddressQuery(minutes=180), True, "Last 3 h"),
        (AddressQuery(minutes=2880), True, "Last 2 d"),
        (AddressQuery(span=Span(0, 1)), True, "…"),
    ],
)
def test_the_time_range_is_named_at_once_unless_its_text_needs_the_time_zone_of_the_browser(query, live, text):
    assert first_texts(query, live=live)["time"] == text


@pytest.mark.parametrize("compare", ["", "before", "hour"])
def test_the_comparison_in_force_is_named_as_in_the_list_of_choices(compare):
    texts = compared_times(follows=True)
    assert first_texts(AddressQuery(compare=compare), live=True)["compare"] == texts[compare]
    assert len(set(texts.values())) == len(texts)
