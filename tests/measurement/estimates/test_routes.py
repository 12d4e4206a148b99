"""Estimates about routes: autonomous systems, and the stopping rule of multipath traces."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from measurement.estimates.as_table import AsTableError, as_of_hops, as_path, read_as_table
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


def test_the_stopping_rule_is_that_of_the_multipath_detection_algorithm():
    assert [probes_to_stop(interfaces) for interfaces in range(1, 11)] == [6, 11, 16, 21, 27, 33, 38, 44, 51, 57]
