"""The seed decides what simulated end hosts do, and they behave as viewers do."""

from collections import Counter
from ipaddress import IPv4Address
from itertools import islice, pairwise
from statistics import fmean

import pytest

from swarmscope.audience.addresses import hong_kong_networks
from swarmscope.audience.channels import CHANNEL_POPULARITY
from swarmscope.audience.end_hosts import random_for
from swarmscope.audience.flash_crowd import FlashCrowd
from swarmscope.audience.planned_sessions import arrives_s, ramp_s
from swarmscope.audience.session_events import startup_ms, trouble
from swarmscope.audience.settings import Settings
from swarmscope.audience.simulation import end_hosts, steps
from swarmscope.audience.steps import Conditions, FirstPicture, JoinAction, LeaveAction, Playing, ReportAction, StallBegin


def audience(peers=400, **settings):
    return Settings(peers=peers, **settings)


def first_minutes(settings, *, until_s=120.0):
    """All steps of all end hosts up to then, in order."""
    lives = [step for number, host in enumerate(end_hosts(settings)) for step in _until(steps(host, number, settings), until_s)]
    return sorted(lives, key=lambda step: step.at_s)


def _until(scenario, until_s):
    for step in scenario:
        if step.at_s >= until_s:
            return
        yield step


def test_the_same_seed_gives_the_same_audience_and_behaviour():
    assert list(end_hosts(audience(seed=3))) == list(end_hosts(audience(seed=3)))
    assert first_minutes(audience(seed=3)) == first_minutes(audience(seed=3))


def test_another_seed_gives_another_audience():
    assert not {host.peer_id for host in end_hosts(audience(seed=3))} & {host.peer_id for host in end_hosts(audience(seed=4))}
    assert first_minutes(audience(seed=3)) != first_minutes(audience(seed=4))


def test_a_larger_audience_contains_the_smaller_one():
    assert list(end_hosts(audience(400)))[:100] == list(end_hosts(audience(100)))


def test_the_steps_of_a_viewer_are_in_order_and_every_view_begins_with_a_join_and_ends_with_a_leave():
    settings = audience(5)
    for number, host in enumerate(end_hosts(settings)):
        scenario = list(islice(steps(host, number, settings), 2000))
        assert all(before.at_s <= after.at_s for before, after in pairwise(scenario))
        frame = [step.action for step in scenario if isinstance(step.action, JoinAction | LeaveAction)]
        assert isinstance(frame[0], JoinAction)
        assert all(isinstance(before, JoinAction) != isinstance(after, JoinAction) for before, after in pairwise(frame))
        assert len(frame) > 4


def test_reports_come_a_random_part_of_the_period_after_the_join_and_then_every_period():
    settings = audience(50, period=5)
    phases = []
    for number, host in enumerate(end_hosts(settings)):
        scenario = list(islice(steps(host, number, settings), 2000))
        leaves_s = next(step.at_s for step in scenario if isinstance(step.action, LeaveAction))
        due = [step.at_s for step in scenario if isinstance(step.action, ReportAction) and step.at_s < leaves_s]
        assert all(after - before == pytest.approx(5) for before, after in pairwise(due))
        phases += [at_s - scenario[0].at_s for at_s in due[:1]]
    assert all(0 <= phase <= 5 for phase in phases)
    assert max(phases) - min(phases) > 4


def test_half_of_the_audience_joins_in_the_first_quarter_of_the_ramp_and_all_by_its_end():
    settings = audience(400, duration=40)
    arrivals = sorted(next(steps(host, number, settings)).at_s for number, host in enumerate(end_hosts(settings)))
    assert ramp_s(40) == 10
    assert 160 < sum(at_s < 10 / 4 for at_s in arrivals) < 240
    assert arrivals[-1] <= 10


def test_viewers_switch_channels_and_some_return_after_a_while():
    switches = returns = 0
    settings = audience(50)
    for number, host in enumerate(end_hosts(settings)):
        frame = [step for step in islice(steps(host, number, settings), 2000) if isinstance(step.action, JoinAction | LeaveAction)]
        for leave, join in pairwise(frame[1:]):
            if isinstance(leave.action, LeaveAction):
                switches += join.at_s == leave.at_s
                returns += join.at_s > leave.at_s
    assert switches > returns > 20


def test_a_channel_switch_leads_to_another_channel():
    settings = audience(30)
    for number, host in enumerate(end_hosts(settings)):
        frame = [step for step in islice(steps(host, number, settings), 1000) if isinstance(step.action, JoinAction | LeaveAction)]
        joins = [step for step in frame if isinstance(step.action, JoinAction)]
        leaves = {step.at_s for step in frame if isinstance(step.action, LeaveAction)}
        assert all(after.action != before.action for before, after in pairwise(joins) if after.at_s in leaves)


def test_channels_are_skewed_and_one_has_a_chinese_name():
    joins = Counter(step.action.channel for step in first_minutes(audience()) if isinstance(step.action, JoinAction))
    assert set(joins) == set(CHANNEL_POPULARITY)
    assert joins.most_common(1)[0][0] == "Badminton finals"
    assert any(not channel.isascii() for channel in joins)


def test_every_end_host_has_an_address_of_the_plan_and_reports_its_isp():
    plan = {network.network: network.isp for network in hong_kong_networks()}
    hosts = list(end_hosts(audience(1000)))
    for host in hosts:
        network = next(network for network in plan if IPv4Address(host.ip) in network)
        assert plan[network] == host.isp
    shares = Counter(host.isp for host in hosts)
    assert 0.26 < shares["PCCW"] / 1000 < 0.38  # 32 % in the paper


def test_rates_are_close_to_the_papers_measurements():
    conditions = [step.action for step in first_minutes(audience(1500)) if isinstance(step.action, Conditions)]
    assert 800 < fmean(now.upload_kbps for now in conditions) < 900
    assert 800 < fmean(now.download_kbps for now in conditions) < 900
    assert {round(now.playback_kbps) for now in conditions} >= {500, 850, 1200}
    assert len({round(now.upload_kbps, -2) for now in conditions}) > 2


def test_startup_takes_mostly_between_one_and_three_seconds():
    startups = sorted(step.action.after_ms for step in first_minutes(audience()) if isinstance(step.action, FirstPicture))
    assert startups[len(startups) // 10] > 800
    assert startups[len(startups) * 8 // 10] < 3200


def test_a_stalled_picture_continues_after_exactly_the_stall():
    for number, host in enumerate(end_hosts(settings := audience(20))):
        flow = [step for step in islice(steps(host, number, settings), 2000) if isinstance(step.action, StallBegin | Playing)]
        for freeze, after in pairwise(flow):
            if isinstance(freeze.action, StallBegin) and isinstance(after.action, Playing) and after.action.after_ms:
                assert (after.at_s - freeze.at_s) * 1000 == pytest.approx(after.action.after_ms)


def test_viewers_of_an_isp_with_trouble_stall_more_than_those_of_another():
    hosts = {host.isp: host for host in end_hosts(audience())}
    assert trouble(hosts["i-Cable"], 60.0, FlashCrowd()) > 5 * trouble(hosts["PCCW"], 60.0, FlashCrowd())


def test_a_flash_crowd_joins_at_once_in_the_middle():
    settings = audience(500, duration=100, flash_crowd=True)
    arrivals = [next(steps(host, number, settings)).at_s for number, host in enumerate(end_hosts(settings))]
    assert 150 < sum(50 <= at_s < 60 for at_s in arrivals) < 250
    assert not [at_s for at_s in arrivals if 15 < at_s < 50]


def test_a_flash_crowd_worsens_startup_and_continuity_until_it_has_passed():
    host = next(host for host in end_hosts(audience()) if host.trouble == 1)
    crowd = FlashCrowd(at_s=50, share=0.4)
    before, during, after = (trouble(host, at_s, crowd) for at_s in (49.9, 50.0, 300.0))
    assert during > 5 * before
    assert after == pytest.approx(before, rel=0.1)
    calm, crowded = (startup_ms(host, random_for("x", 1, 1), trouble=1, pressure=pressure) for pressure in (0, 1))
    assert crowded == pytest.approx(4 * calm)


def test_without_a_flash_crowd_no_end_host_waits_for_one():
    assert all(arrives_s(random_for("life", number, 1), ramp_s=10, crowd=FlashCrowd()) <= 10 for number in range(200))
    assert FlashCrowd().pressure(1e9) == 0
