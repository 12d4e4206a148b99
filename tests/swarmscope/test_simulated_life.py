"""The seed decides what simulated end hosts do, and they behave as viewers do."""

from collections import Counter
from ipaddress import IPv4Address
from itertools import islice, pairwise
from statistics import fmean

import pytest

from swarmscope.audience.addresses import neighbourhoods
from swarmscope.audience.cast import dice_of
from swarmscope.audience.channels import AUDIENCE_OF_CHANNEL
from swarmscope.audience.moments import Conditions, Flow, Freeze, Join, Leave, Picture, Report
from swarmscope.audience.playing import startup_ms, trouble
from swarmscope.audience.settings import Settings
from swarmscope.audience.simulation import cast, steps
from swarmscope.audience.surge import Surge
from swarmscope.audience.viewing import arrives_s, ramp_s


def audience(peers=400, **settings):
    return Settings(peers=peers, **settings)


def first_minutes(settings, *, until_s=120.0):
    """All steps of all end hosts up to then, in order."""
    lives = [step for number, host in enumerate(cast(settings)) for step in _until(steps(host, number, settings), until_s)]
    return sorted(lives, key=lambda step: step.at_s)


def _until(life, until_s):
    for step in life:
        if step.at_s >= until_s:
            return
        yield step


def test_the_same_seed_gives_the_same_audience_and_behaviour():
    assert list(cast(audience(seed=3))) == list(cast(audience(seed=3)))
    assert first_minutes(audience(seed=3)) == first_minutes(audience(seed=3))


def test_another_seed_gives_another_audience():
    assert not {host.peer_id for host in cast(audience(seed=3))} & {host.peer_id for host in cast(audience(seed=4))}
    assert first_minutes(audience(seed=3)) != first_minutes(audience(seed=4))


def test_a_larger_audience_contains_the_smaller_one():
    assert list(cast(audience(400)))[:100] == list(cast(audience(100)))


def test_a_life_is_in_order_and_every_view_begins_with_a_join_and_ends_with_a_leave():
    settings = audience(5)
    for number, host in enumerate(cast(settings)):
        life = list(islice(steps(host, number, settings), 2000))
        assert all(before.at_s <= after.at_s for before, after in pairwise(life))
        frame = [step.moment for step in life if isinstance(step.moment, Join | Leave)]
        assert isinstance(frame[0], Join)
        assert all(isinstance(before, Join) != isinstance(after, Join) for before, after in pairwise(frame))
        assert len(frame) > 4


def test_reports_come_a_random_part_of_the_period_after_the_join_and_then_every_period():
    settings = audience(50, period=5)
    phases = []
    for number, host in enumerate(cast(settings)):
        life = list(islice(steps(host, number, settings), 2000))
        leaves_s = next(step.at_s for step in life if isinstance(step.moment, Leave))
        due = [step.at_s for step in life if isinstance(step.moment, Report) and step.at_s < leaves_s]
        assert all(after - before == pytest.approx(5) for before, after in pairwise(due))
        phases += [at_s - life[0].at_s for at_s in due[:1]]
    assert all(0 <= phase <= 5 for phase in phases)
    assert max(phases) - min(phases) > 4


def test_half_of_the_audience_joins_in_the_first_quarter_of_the_ramp_and_all_by_its_end():
    settings = audience(400, duration=40)
    arrivals = sorted(next(steps(host, number, settings)).at_s for number, host in enumerate(cast(settings)))
    assert ramp_s(40) == 10
    assert 160 < sum(at_s < 10 / 4 for at_s in arrivals) < 240
    assert arrivals[-1] <= 10


def test_viewers_zap_to_other_channels_and_some_return_after_a_while():
    zaps = returns = 0
    settings = audience(50)
    for number, host in enumerate(cast(settings)):
        frame = [step for step in islice(steps(host, number, settings), 2000) if isinstance(step.moment, Join | Leave)]
        for leave, join in pairwise(frame[1:]):
            if isinstance(leave.moment, Leave):
                zaps += join.at_s == leave.at_s
                returns += join.at_s > leave.at_s
    assert zaps > returns > 20


def test_a_zap_leads_to_another_channel():
    settings = audience(30)
    for number, host in enumerate(cast(settings)):
        frame = [step for step in islice(steps(host, number, settings), 1000) if isinstance(step.moment, Join | Leave)]
        joins = [step for step in frame if isinstance(step.moment, Join)]
        leaves = {step.at_s for step in frame if isinstance(step.moment, Leave)}
        assert all(after.moment != before.moment for before, after in pairwise(joins) if after.at_s in leaves)


def test_channels_are_skewed_and_one_has_a_chinese_name():
    joins = Counter(step.moment.channel for step in first_minutes(audience()) if isinstance(step.moment, Join))
    assert set(joins) == set(AUDIENCE_OF_CHANNEL)
    assert joins.most_common(1)[0][0] == "Badminton finals"
    assert any(not channel.isascii() for channel in joins)


def test_every_end_host_has_an_address_of_the_plan_and_reports_its_operator():
    plan = {place.network: place.isp for place in neighbourhoods()}
    hosts = list(cast(audience(1000)))
    for host in hosts:
        network = next(network for network in plan if IPv4Address(host.ip) in network)
        assert plan[network] == host.isp
    shares = Counter(host.isp for host in hosts)
    assert 0.26 < shares["PCCW"] / 1000 < 0.38  # 32 % in the paper


def test_rates_are_close_to_the_papers_measurements():
    conditions = [step.moment for step in first_minutes(audience(1500)) if isinstance(step.moment, Conditions)]
    assert 800 < fmean(now.upload_kbps for now in conditions) < 900
    assert 800 < fmean(now.download_kbps for now in conditions) < 900
    assert {round(now.playback_kbps) for now in conditions} >= {500, 850, 1200}
    assert len({round(now.upload_kbps, -2) for now in conditions}) > 2


def test_startup_takes_mostly_between_one_and_three_seconds():
    startups = sorted(step.moment.after_ms for step in first_minutes(audience()) if isinstance(step.moment, Picture))
    assert startups[len(startups) // 10] > 800
    assert startups[len(startups) * 8 // 10] < 3200


def test_a_stalled_picture_continues_after_exactly_the_stall():
    for number, host in enumerate(cast(settings := audience(20))):
        flow = [step for step in islice(steps(host, number, settings), 2000) if isinstance(step.moment, Freeze | Flow)]
        for freeze, after in pairwise(flow):
            if isinstance(freeze.moment, Freeze) and isinstance(after.moment, Flow) and after.moment.after_ms:
                assert (after.at_s - freeze.at_s) * 1000 == pytest.approx(after.moment.after_ms)


def test_a_troubled_operator_stalls_more_than_a_good_one():
    hosts = {host.isp: host for host in cast(audience())}
    assert trouble(hosts["i-Cable"], 60.0, Surge()) > 5 * trouble(hosts["PCCW"], 60.0, Surge())


def test_a_flash_crowd_joins_at_once_in_the_middle():
    settings = audience(500, duration=100, flash_crowd=True)
    arrivals = [next(steps(host, number, settings)).at_s for number, host in enumerate(cast(settings))]
    assert 150 < sum(50 <= at_s < 60 for at_s in arrivals) < 250
    assert not [at_s for at_s in arrivals if 15 < at_s < 50]


def test_a_flash_crowd_worsens_startup_and_continuity_until_it_has_passed():
    host = next(host for host in cast(audience()) if host.trouble == 1)
    surge = Surge(at_s=50, share=0.4)
    before, during, after = (trouble(host, at_s, surge) for at_s in (49.9, 50.0, 300.0))
    assert during > 5 * before
    assert after == pytest.approx(before, rel=0.1)
    calm, crowded = (startup_ms(host, dice_of("x", 1, 1), trouble=1, pressure=pressure) for pressure in (0, 1))
    assert crowded == pytest.approx(4 * calm)


def test_without_a_flash_crowd_no_end_host_waits_for_one():
    assert all(arrives_s(dice_of("life", number, 1), ramp_s=10, surge=Surge()) <= 10 for number in range(200))
    assert Surge().pressure(1e9) == 0
