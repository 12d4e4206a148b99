"""The address of a page determines what it shows, and an old or broken address still shows a page."""

from hypothesis import given
from hypothesis import strategies as st

from feedback_analysis.measures.selection import Span
from feedback_analysis.time_units import HOUR_MS
from monitor_platform.dashboard.address_query import COLOURING, EARLIEST_MS, MINUTES, MOST_SERIES, SERIES, AddressQuery
from monitor_platform.dashboard.comparison import other_side
from tests.harness.logs import BEGIN_MS

names = st.text(min_size=1, max_size=60)
spans = st.tuples(st.integers(EARLIEST_MS, 10**13), st.integers(1, 10**9)).map(lambda pair: Span(pair[0], pair[0] + pair[1]))
queries = st.builds(
    AddressQuery,
    measure=st.sampled_from((*COLOURING, "extra.rtt_ms", "extra.,")),
    series=st.lists(st.sampled_from((*SERIES, "extra.rtt_ms")), max_size=MOST_SERIES, unique=True).map(tuple),
    channel=names,
    isp=st.just("") | names,
    district=names,
    others=st.dictionaries(st.sampled_from(["extra.codec", "extra.a=b", "extra.&,", "app", "peer_id"]), names).map(
        lambda filters: tuple(sorted(filters.items()))
    ),
    span=st.none() | spans,
    minutes=st.just(0) | st.sampled_from(MINUTES),
    zone=st.sampled_from(["", "UTC", "Asia/Kathmandu"]),
)


@given(queries)
def test_an_address_restores_the_query_that_it_was_made_from(query):
    assert AddressQuery.parse(query.text()) == query


@given(st.sampled_from(MINUTES))
def test_an_address_with_minutes_restores_its_query(minutes):
    assert AddressQuery.parse(AddressQuery(minutes=minutes).text()).minutes == minutes


@given(st.text(max_size=300))
def test_any_query_string_is_parsed_without_an_error(query):
    AddressQuery.parse(query).text()


def test_times_in_seconds_are_ignored():
    assert AddressQuery.parse("from=1700000000&to=1700003600").span is None
    assert AddressQuery.parse("from=1700000000000&to=1700003600000").span == Span(1700000000000, 1700003600000)


def test_invalid_parts_of_a_query_string_are_ignored():
    broken = "measure=nonsense&series=mos,nonsense,mos&minutes=7&zone=Mars/Olympus&from=9&to=5&channel=ch1"
    assert AddressQuery.parse(broken) == AddressQuery(series=("mos",), channel="ch1")


def test_the_default_query_has_a_short_address():
    assert AddressQuery().text() == ""


def test_an_address_filters_by_any_column_and_the_report_uses_the_same_filters():
    asked = AddressQuery.parse("channel=ch1&extra.codec=av1&platform=tv&extra.=x&colour=red")
    assert asked.where() == {"channel": "ch1", "extra.codec": "av1", "platform": "tv"}
    assert AddressQuery.filtered(asked.where()) == asked


def test_the_district_view_shows_all_districts_although_one_is_chosen():
    query = AddressQuery(channel="ch1", district="Sha Tin")
    assert query.where() == {"channel": "ch1", "district": "Sha Tin"}
    assert query.where(without="district") == {"channel": "ch1"}


def test_district_and_area_exclude_each_other():
    assert AddressQuery(area="a").placed("district", "North") == AddressQuery(district="North")
    assert AddressQuery(district="North").placed("district", "") == AddressQuery()
    assert AddressQuery.parse("district=North&area=a") == AddressQuery(district="North")


def test_a_comparison_with_an_hour_earlier_has_the_same_length():
    begin = BEGIN_MS + 5 * HOUR_MS
    query = AddressQuery.parse(f"from={begin}&to={begin + 60_000}&compare=hour")
    side = other_side(query, Span(begin, begin + 60_000))
    assert (side.span, side.name) == (Span(begin - HOUR_MS, begin - HOUR_MS + 60_000), "an hour earlier")
    assert other_side(query, Span(begin, begin + 60_000), follows=True).name == "an hour ago"
