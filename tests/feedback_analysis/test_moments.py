"""Times as people write them: each one is read as it was meant, or refused with advice."""

import contextlib
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedback_analysis.moments import check_local, unix_ms

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("text", "is_at"),
    [
        ("0", "1970-01-01T00:00:00+00:00"),
        ("1344331800000", "2012-08-07T09:30:00+00:00"),
        ("100000000000", "1973-03-03T09:46:40+00:00"),
        ("2012-08-07", "2012-08-07T00:00:00+00:00"),
        ("20120807", "2012-08-07T00:00:00+00:00"),
        ("2012-08-07T09:30Z", "2012-08-07T09:30:00+00:00"),
        ("2012-08-07 17:30+08:00", "2012-08-07T09:30:00+00:00"),
        ("2012-08-07T09:30+14:00", "2012-08-06T19:30:00+00:00"),
        ("20120807T0930-0930", "2012-08-07T19:00:00+00:00"),
        ("0001-01-01", "0001-01-01T00:00:00+00:00"),
        ("9999-12-31T23:59:59", "9999-12-31T23:59:59+00:00"),
        ("1960-02-29", "1960-02-29T00:00:00+00:00"),
    ],
)
def test_a_time_is_read_as_it_is_written(text, is_at):
    assert unix_ms(text) == round(datetime.fromisoformat(is_at).timestamp() * 1000)


@pytest.mark.parametrize(
    ("text", "expected_text"),
    [
        ("1700000000", r"looks like Unix seconds; write Unix milliseconds \(1700000000000\) or a time such as"),
        ("999999999", "looks like Unix seconds"),
        ("17000000000", "looks like Unix seconds"),
        ("1700000000000000", "too large for Unix milliseconds, which have 13 digits"),
        ("1700000000000000000", "too large for Unix milliseconds"),
        ("9" * 900, "too large for Unix milliseconds"),
        ("2012", "is not a time"),
        ("201208", "is not a time"),
        ("-1", "is not a time"),
        ("-1700000000000", "is not a time"),
        ("1.7e12", "is not a time"),
        ("1700000000000.5", "is not a time"),
        ("١٧٠٠٠٠٠٠٠٠٠٠٠", "is not a time"),
        ("0000-01-01", "is not a time"),
        ("2023-02-29", "is not a time"),
        ("yesterday", "is not a time"),
        ("", "is not a time"),
        ("x" * 900, "is not a time"),
        ("2012-08-07T09:30+25:00", "is not a time"),
        ("2012-08-07T09:30+23:59", "no valid offset from UTC; write one from -14:00 to"),
        ("2012-08-07T09:30-14:01", "no valid offset"),
        ("2012-08-07T09:30+0875", "no valid offset"),
        ("20120807T0930+08:00:30", "no valid offset"),
    ],
)
def test_an_ambiguous_time_is_refused_with_advice(text, expected_text):
    with pytest.raises(ValueError, match=expected_text) as refused:
        unix_ms(text)
    assert len(str(refused.value)) < 200


def test_a_time_that_the_clocks_of_a_zone_skip_or_show_twice_is_refused():
    with pytest.raises(ValueError, match="2026-03-29T02:30:00 does not exist in Europe/Berlin"):
        unix_ms("2026-03-29T02:30", BERLIN)
    with pytest.raises(ValueError, match=r"occurs twice.*2026-10-25T02:30:00\+02:00 or 2026-10-25T02:30:00\+01:00"):
        unix_ms("2026-10-25T02:30", BERLIN)
    assert unix_ms("2026-10-25T02:30+01:00", BERLIN) - unix_ms("2026-10-25T02:30+02:00", BERLIN) == 3_600_000


def test_a_local_time_of_another_parser_is_refused_if_it_is_skipped_or_occurs_twice():
    skipped_ms, second_ms = unix_ms("2026-03-29T03:30+02:00"), unix_ms("2026-10-25T02:30+01:00")
    for text in ("2026-03-29T02:30", "2026-03-29 02:30:00.5"):
        with pytest.raises(ValueError, match="does not exist in Europe/Berlin"):
            check_local(text, skipped_ms, BERLIN)
    with pytest.raises(ValueError, match="occurs twice in Europe/Berlin"):
        check_local("2026/10/25 02:30", second_ms, BERLIN)
    half = unix_ms("2026-10-04T02:45+11:00")  # clocks of Lord Howe move by half an hour
    with pytest.raises(ValueError, match="2026-10-04T02:15:00 does not exist"):
        check_local("2026-10-04 02:15", half, ZoneInfo("Australia/Lord_Howe"))
    for text in ("2026-10-25T02:30+01:00", "2026-10-25 02:30 Europe/Berlin", "1792891800000", "2026-10-25T02:30Z"):
        check_local(text, second_ms, BERLIN)
    check_local("2026-03-29 03:30", skipped_ms, BERLIN)


@given(st.datetimes(min_value=datetime(1973, 4, 1), max_value=datetime(2100, 1, 1)))
def test_a_time_and_its_milliseconds_are_the_same_moment(at):
    ms = (at.replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    assert unix_ms(str(ms)) == ms
    assert abs(unix_ms(at.isoformat()) - ms) <= 1


@given(st.text(max_size=30) | st.integers().map(str))
def test_any_text_is_a_time_or_a_value_error(text):
    for zone in (UTC, BERLIN):
        with contextlib.suppress(ValueError):
            assert isinstance(unix_ms(text, zone), int)
