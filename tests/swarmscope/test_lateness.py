"""A machine that is too slow for its simulated viewers is named, instead of an audience that seems to leave."""

import asyncio
import time

from swarmscope.audience.lateness import LEAST_NOTED, Lateness
from swarmscope.audience.message_counts import MessageCounts
from swarmscope.audience.settings import Settings
from swarmscope.audience.simulated_player import SimulatedPlayer
from swarmscope.audience.simulation import end_hosts
from swarmscope.audience.steps import JoinAction, ReportAction, ScenarioStep
from swarmscope.demo.logged_errors import LoggedErrors
from swarmscope.demo.run import end_message


def test_reports_are_late_after_a_tenth_of_their_period_and_only_many_give_a_warning():
    lateness = Lateness(period_s=5.0)
    for late_s in [0.4] * 500 + [0.6] * (LEAST_NOTED - 1):
        lateness.add(late_s)
    assert (lateness.late, lateness.warning) == (LEAST_NOTED - 1, "")
    lateness.add(7.25)
    assert lateness.warning.startswith("10 of 510 reports of simulated viewers are late, by up to 7.2 s: this machine is too slow")


def test_few_late_reports_among_many_give_no_warning():
    assert Lateness(period_s=5.0, reports=10_000, late=99, longest_s=3.0).warning == ""


def test_a_report_that_the_event_loop_delays_is_late():
    [host] = end_hosts(Settings(peers=1))
    lateness, counts = Lateness(period_s=1.0), MessageCounts()

    async def play():
        player = SimulatedPlayer(host, lambda _: time.sleep(0.15), counts, lateness)  # each message blocks the loop
        steps = [ScenarioStep(0.0, JoinAction("tv")), ScenarioStep(0.02, ReportAction()), ScenarioStep(0.04, ReportAction())]
        await player.run(steps, began_s=asyncio.get_running_loop().time())

    asyncio.run(play())
    assert (lateness.reports, lateness.late) == (2, 2)
    assert lateness.longest_s > 0.2


def test_the_demo_shows_a_warning_of_its_audience_without_the_lines_after_it(tmp_path):
    log = tmp_path / "audience.log"
    log.write_text("1 s \u00b7 5 watching\nwarning: 12 of 99 reports are late\n2 s \u00b7 5 watching\n", encoding="utf-8")
    errors = LoggedErrors(log)
    assert errors.new() == ["warning: 12 of 99 reports are late"]
    assert errors.new() == []


def test_an_ended_demo_names_the_folder_of_its_logs(tmp_path):
    assert "--static '/a b/fs1' --static '/a b/fs2'" in end_message(tmp_path / "/a b")
    assert "--data DIR" in end_message(None)
