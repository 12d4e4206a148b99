"""Estimates about routes: autonomous systems, BRoute's branches, and the stopping rule of multipath traces."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from measurement.estimates.as_table import AsTableError, as_of_hops, as_path, read_as_table
from measurement.estimates.branch_bandwidth import TreePath, estimate_pair
from measurement.estimates.multipath import probes_to_stop

TABLE = """
# prefix and AS
10.0.0.0/8\t64500
10.1.0.0/16, AS64501
10.1.2.0/24 64502
2001:db8::/32 64503
0.0.0.0/0 64504
"""


@pytest.mark.parametrize(
    ("address", "asn"),
    [
        ("10.2.0.1", 64500),
        ("10.1.9.1", 64501),
        ("10.1.2.255", 64502),
        ("2001:db8:1::5", 64503),
        ("192.0.2.1", 64504),
        ("2001:db9::1", None),
        ("router.example", None),
        (None, None),
    ],
)
def test_the_longest_prefix_decides(address, asn):
    assert read_as_table(TABLE.splitlines()).as_number(address) == asn


@pytest.mark.parametrize(
    "line", ["10.0.0.0/8", "10.0.0.1/8 5", "10.0.0.0/33 5", "10.0.0.0/8 AS", "10.0.0.0/8 0", "10.0.0.0/8 4294967296", "a b c"]
)
def test_a_wrong_line_of_the_table_is_named(line):
    with pytest.raises(AsTableError, match="line 2 of the AS table"):
        read_as_table(["10.0.0.0/8 1", line])


@given(st.lists(st.text()))
def test_any_text_is_a_table_or_an_error(lines):
    try:
        table = read_as_table(lines)
    except AsTableError:
        return
    table.as_number("10.0.0.1")


def test_unknown_hops_belong_to_the_as_on_both_sides():
    assert as_of_hops([None, 1, None, None, 1, None, 2, None]) == [None, 1, 1, 1, 1, None, 2, None]
    assert as_path([None, 1, None, None, 1, None, 2, 2, None]) == [None, 1, None, 2, None]


def path(*parts: tuple[int | None, float | None]) -> TreePath:
    return TreePath(as_path=[asn for asn, _ in parts], bandwidth_kbps=[bandwidth for _, bandwidth in parts])


def test_the_bandwidth_is_the_smaller_one_of_the_two_branches():
    source = [path((1, 100.0), (5, 50.0), (9, None), (7, 10.0))]
    sink = [path((8, 5.0), (9, 80.0), (6, 40.0), (2, 70.0))]
    estimate = estimate_pair(source, sink)
    assert estimate.common_as == 9
    assert estimate.as_path == [1, 5, 9, 6, 2]
    assert (estimate.source_branch_kbps, estimate.sink_branch_kbps, estimate.bandwidth_kbps) == (50.0, 40.0, 40.0)


def test_trees_without_a_common_as_give_no_estimate():
    assert estimate_pair([path((1, 1.0), (2, 1.0))], [path((3, 1.0), (4, 1.0))]) is None
    assert estimate_pair([], []) is None
    assert estimate_pair([path((1, 1.0), (None, 1.0))], [path((None, 1.0), (4, 1.0))]) is None


def test_a_branch_without_a_known_bandwidth_makes_the_estimate_unknown():
    estimate = estimate_pair([path((1, None), (9, None))], [path((9, 20.0), (2, 30.0))])
    assert (estimate.sink_branch_kbps, estimate.source_branch_kbps, estimate.bandwidth_kbps) == (20.0, None, None)


def test_of_equally_short_paths_the_busier_as_and_then_the_lower_number_is_taken():
    source = [path((1, 1.0), (8, 1.0)), path((1, 1.0), (7, 1.0))]
    sink = [path((8, 1.0), (2, 1.0)), path((7, 1.0), (2, 1.0))]
    assert estimate_pair(source, sink).common_as == 7
    assert estimate_pair([*source, path((1, 1.0), (8, 1.0), (3, 1.0))], sink).common_as == 8


def test_a_path_needs_a_bandwidth_for_each_as():
    with pytest.raises(ValueError, match="2 ASes need as many bandwidths, not 1"):
        TreePath(as_path=[1, 2], bandwidth_kbps=[1.0])


steps = st.tuples(st.none() | st.integers(1, 6), st.none() | st.floats(1, 1e6))
trees = st.lists(st.lists(steps, max_size=5).map(lambda parts: path(*parts)), max_size=5)


@given(trees, trees)
def test_any_trees_give_a_path_through_the_common_as(source, sink):
    estimate = estimate_pair(source, sink)
    if estimate is not None:
        assert estimate.common_as in estimate.as_path
        branches = (estimate.source_branch_kbps, estimate.sink_branch_kbps)
        assert estimate.bandwidth_kbps == (None if None in branches else min(branches))


def test_the_stopping_rule_is_that_of_the_multipath_detection_algorithm():
    assert [probes_to_stop(interfaces) for interfaces in range(1, 11)] == [6, 11, 16, 21, 27, 33, 38, 44, 51, 57]
