"""The SDK knows how long its process was stopped, however often."""

from endhost_sdk.stop_detector import Stops


def test_a_thousand_stops_within_one_reporting_period_are_all_counted():
    stops = Stops()
    for number in range(1000):
        stops.add(number * 10.0, from_s=number * 10 + 1, until_s=number * 10 + 8)
        stops.join_oldest()
    assert stops.seconds_since(0) == 7000
    assert stops.seconds_since(9_990) == 7
    assert stops.seconds_since(9_995) == 3
    assert stops.seconds_since(10_000) == 0


def test_a_stop_that_two_threads_detect_counts_once():
    stops = Stops()
    stops.add(10.0, from_s=11, until_s=18)
    stops.add(10.0, from_s=11, until_s=18.1)
    assert stops.seconds_since(0) == 7
