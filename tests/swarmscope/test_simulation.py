"""The audience over real HTTP, with coordinators that fail on purpose."""

import asyncio
import json
from collections import Counter, defaultdict

from swarmscope.audience import progress, simulation
from swarmscope.audience.ground_truth import GroundTruth
from swarmscope.audience.lateness import Lateness
from swarmscope.audience.message_counts import MessageCounts
from swarmscope.audience.settings import Settings
from tests.harness.processes import run_swarmscope


def run(*coordinators, peers=20, duration=1.0, **settings):
    """A short simulation: the outcome of its messages, and the truth about them."""
    counts, truth = MessageCounts(), GroundTruth()

    async def main():
        chosen = Settings(coordinator=tuple(coordinators), peers=peers, period=0.5, duration=duration, seed=5, **settings)
        await simulation.simulate(
            chosen, counts=counts, lateness=Lateness(period_s=chosen.period), on_acknowledged=truth.add, stop=asyncio.Event()
        )

    asyncio.run(main())
    return counts, truth.measures()


def named(message):
    return message["session_id"], message["seq"]


def test_every_end_host_joins_and_leaves_and_its_messages_are_numbered_without_gaps(receiver):
    coordinator = receiver()
    counts, _ = run(coordinator.url)
    sessions = defaultdict(list)
    for message in coordinator.accepted:
        sessions[message["session_id"]].append(message)
    assert len({message["peer_id"] for message in coordinator.accepted}) == 20
    for messages in sessions.values():
        assert [message["seq"] for message in messages] == list(range(len(messages)))
        assert messages[0]["event"] == "join"
        assert messages[-1]["event"] == "leave"
    assert counts.watching == counts.waiting == 0


def test_the_truth_counts_exactly_the_acknowledged_messages(receiver):
    coordinator = receiver()
    counts, truth = run(coordinator.url)
    assert truth["messages"] == counts.acknowledged == len(coordinator.accepted)
    by_isp = Counter(message["isp"] for message in coordinator.accepted)
    assert {group["by"]["isp"]: group["messages"] for group in truth["groups"] if "isp" in group["by"]} == by_isp


def test_a_failed_message_is_sent_again_with_the_same_bytes(receiver):
    # Every fifth attempt fails, and every seventh gets no answer at all, although it arrived.
    coordinator = receiver(lambda number: 503 if number % 5 == 0 else None if number % 7 == 0 else 202)
    counts, truth = run(coordinator.url, peers=15)
    failed = [body for body, _, status in coordinator.attempts if status == 503]
    unanswered = [body for body, _, status in coordinator.attempts if status is None]
    assert len(failed) > 5
    assert len(unanswered) > 2
    taken = Counter(body for body, _, status in coordinator.attempts if status == 202)
    assert set(failed) | set(unanswered) <= set(taken)
    assert set(taken.values()) == {1}
    assert len({named(json.loads(body)) for body in taken}) == len(taken) == truth["messages"]
    assert counts.failed_attempts == len(failed) + len(unanswered)
    assert counts.waiting == 0


def test_when_one_coordinator_fails_the_other_gets_its_messages(receiver):
    failing, well = receiver(lambda _: 503), receiver()
    counts, truth = run(failing.url, well.url)
    assert failing.attempts
    assert len(well.accepted) == counts.built == truth["messages"]


def test_end_hosts_are_spread_over_the_coordinators(receiver):
    some, others = receiver(), receiver()
    run(some.url, others.url)
    assert {message["peer_id"] for message in some.accepted}.isdisjoint(message["peer_id"] for message in others.accepted)
    assert len({message["peer_id"] for message in some.accepted}) == 10


def test_addresses_and_key_are_sent_with_every_message(receiver):
    coordinator = receiver()
    run(coordinator.url, peers=5, duration=0.5, key="sesame")
    assert coordinator.attempts
    for _, headers, _ in coordinator.attempts:
        assert headers["Authorization"] == "Bearer sesame"
        assert headers["X-Forwarded-For"].count(".") == 3


def test_permanently_refused_messages_are_counted_by_reason_and_not_sent_again(receiver):
    coordinator = receiver(lambda number: 400 if number % 2 else 202)
    counts, truth = run(coordinator.url)
    refused = sum(status == 400 for _, _, status in coordinator.attempts)
    assert refused > 10
    assert counts.refused == {"invalid_field": refused}
    assert len({body for body, _, _ in coordinator.attempts}) == len(coordinator.attempts)
    assert truth["messages"] + refused == counts.built


def test_messages_that_no_coordinator_accepts_are_unacknowledged_at_the_end(receiver, monkeypatch):
    monkeypatch.setattr(simulation, "GIVE_UP_S", 0.5)
    coordinator = receiver(lambda _: 503)
    counts, truth = run(coordinator.url, peers=5, duration=0.5)
    assert coordinator.attempts
    assert truth["messages"] == 0
    assert counts.waiting == counts.built > 0


def test_the_first_reported_rate_is_the_rate_since_the_start():
    assert progress.MessageRate(10.0).now(50, 15.0) == 10.0


def simulate(*flags, **env):
    small = ("--peers", "10", "--period", "0.5", "--duration", "1")
    return run_swarmscope("simulate", *small, *flags, env=env, timeout_s=30)


def test_the_command_writes_the_truth_and_exits_with_0(receiver, tmp_path):
    coordinator = receiver()
    # In the poorest locale: the truth names channels in Chinese.
    poor = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = simulate("--coordinator", coordinator.url, "--truth", str(tmp_path / "truth.json"), **poor)
    assert done.returncode == 0, done.stderr
    truth = json.loads((tmp_path / "truth.json").read_text(encoding="utf-8"))
    assert truth["messages"] == len(coordinator.accepted) > 0
    assert (truth["refused"], truth["unacknowledged"]) == (0, 0)
    assert "--trusted-proxy" in done.stderr


def test_the_command_exits_with_1_and_the_reasons_when_messages_were_refused(receiver):
    done = simulate("--coordinator", receiver(lambda _: 400).url)
    assert done.returncode == 1
    assert "refused" in done.stderr
    assert "invalid_field" in done.stderr


def test_a_setting_that_cannot_work_is_refused_in_one_line():
    done = simulate("--seed", "x")
    assert done.returncode == 2
    done = simulate("--coordinator", "ftp://somewhere")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "ftp://somewhere" in done.stderr
