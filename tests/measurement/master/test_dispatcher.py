"""Requests, leases and rounds of the master, in virtual time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from measurement.control_messages import AddTask, Cancel, SkipRound, Start, StopAll, StopTask
from measurement.master.kept_requests import KeptRequests
from measurement.master.live_request import RequestState
from measurement.master.operation_journal import RecordCursor
from measurement.measurement_request import MeasurementRequest, Scheduling
from measurement.operation import Destination, Technique
from measurement.outcome import Status
from tests.measurement.master.virtual_master import VirtualMaster, assert_conserved, statuses


def test_a_request_ends_when_every_pair_of_agent_and_destination_has_an_outcome():
    master = VirtualMaster()
    master.join("a1", "a2")
    live = master.submit("ALL", destinations=("d1", "d2"))
    assert (live.planned, live.open) == (4, 4)
    for _ in range(2):
        running = {name: master.starts(name)[-1] for name in ("a1", "a2")}
        assert len({start.operation.destination.address for start in running.values()}) == 2
        for name, start in running.items():
            assert master.answer(name, start).accepted == 1
    assert live.state == "done"
    assert statuses(live) == {"ok": 4}
    assert_conserved(master, live)


def test_an_outcome_under_another_lease_or_for_the_second_time_is_refused_and_counted():
    master = VirtualMaster()
    master.join("a1", "a2")
    live = master.submit("a1")
    (start,) = master.starts("a1")
    forged = Start(operation=start.operation, lease_id="another", keepalive=0, lease_s=1.0)
    assert master.answer("a1", forged).refused == {"unknown": 1}
    assert master.answer("a2", start).refused == {"unknown": 1}
    assert master.answer("a1", start).accepted == 1
    assert master.answer("a1", start).refused == {"late": 1}
    assert master.dispatcher.refused_outcomes == {"unknown": 2, "late": 1}
    assert_conserved(master, live)


def test_an_agent_that_disappears_loses_its_operation_and_frees_the_destination_within_the_masters_timer():
    master = VirtualMaster()
    master.join("a1", "a2")
    live = master.submit("ALL")
    second = "a2" if master.starts("a1") else "a1"
    master.advance(19, alive=[second])
    assert not master.starts(second)  # the lost agent may still be sending
    master.advance(1, alive=[second])
    assert statuses(live) == {"agent_lost": 1}
    (start,) = master.starts(second)
    master.answer(second, start)
    assert statuses(live) == {"agent_lost": 1, "ok": 1}
    assert live.state == "done"
    assert master.records[0].outcome.reason
    assert_conserved(master, live)


@pytest.mark.parametrize("step_s", [3600.0, -3600.0])
def test_a_step_of_the_system_clock_ends_no_agent_lease_or_period(step_s):
    master = VirtualMaster()
    master.wall_ahead_s = 1_795_921_200.0
    master.join("a1")
    live, periodic = master.submit("a1"), master.submit("a1", destinations=("d2",), period_s=60.0)
    master.advance(19, alive=["a1"])
    master.wall_ahead_s += step_s
    master.advance(19, alive=["a1"])
    assert (statuses(live), statuses(periodic)) == ({}, {})
    (start,) = master.starts("a1")
    assert master.answer("a1", start).accepted == 1
    assert master.answer("a1", master.starts("a1")[-1]).accepted == 1
    master.advance(21, alive=["a1"])
    assert (periodic.round, periodic.state) == (0, "waiting")
    master.advance(2, alive=["a1"])
    assert (periodic.round, periodic.state) == (1, "running")
    assert statuses(live) == {"ok": 1}


def test_a_broken_stream_frees_pending_pairs_at_once_and_the_destination_when_the_agent_has_stopped():
    master = VirtualMaster()
    master.join("a1", "a2")
    live = master.submit("ALL", destinations=("d1", "d2"))
    master.advance(5, alive=["a1", "a2"])
    master.dispatcher.agent_gone(master.members["a1"])
    assert statuses(live) == {"agent_lost": 1}  # the pair that it had not begun
    master.answer("a2", master.starts("a2")[0])
    assert len(master.starts("a2")) == 1
    master.advance(20, alive=["a2"])
    assert len(master.starts("a2")) == 2
    master.answer("a2", master.starts("a2")[1])
    assert statuses(live) == {"agent_lost": 2, "ok": 2}
    assert_conserved(master, live)


def test_an_agent_that_registers_again_delivers_what_it_has_spooled_before_the_rest_is_lost():
    master = VirtualMaster()
    master.join("a1")
    live = master.submit("a1", destinations=("d1",))
    (start,) = master.starts("a1")
    master.dispatcher.agent_gone(master.members["a1"])
    assert master.answer("a1", start).accepted == 1  # the lease is still the right one
    master.join("a1")
    assert statuses(live) == {"ok": 1}
    again = master.submit("a1", destinations=("d1",))
    master.join("a1")
    assert statuses(again) == {"agent_lost": 1}  # the new stream of commands proves that the agent runs nothing
    assert_conserved(master, live)


def test_a_lease_that_ends_without_an_outcome_expires():
    master = VirtualMaster()
    master.join("a1")
    live = master.submit("a1", time_limit_s=10.0)
    master.advance(14, alive=["a1"])
    assert live.open == 1
    master.advance(1, alive=["a1"])
    assert statuses(live) == {"expired": 1}
    assert master.answer("a1", master.starts("a1")[0]).refused == {"late": 1}
    assert_conserved(master, live)


def test_a_lease_is_counted_from_the_last_keep_alive_so_it_ends_at_the_agent_before_it_ends_at_the_master():
    master = VirtualMaster()
    master.join("a1")
    master.advance(3, alive=["a1"])
    sent_s = master.now_s  # the agent sent this keep-alive then, or earlier
    master.now_s += 0.5
    master.submit("a1", time_limit_s=10.0)
    (start,) = master.starts("a1")
    assert start.keepalive == master.keepalives["a1"]
    assert sent_s + start.lease_s == master.now_s + 15.0


def test_a_cancelled_operation_keeps_its_destination_until_the_agent_has_stopped():
    master = VirtualMaster()
    master.join("a1", "a2")
    live = master.submit("a1", destinations=("d1", "d2"))
    (start,) = master.starts("a1")
    master.dispatcher.cancel(live, "cancelled", "the requester cancelled it")
    assert live.state == "cancelled"
    assert statuses(live) == {"cancelled": 2}
    assert isinstance(master.commands["a1"][-1], Cancel)
    master.submit("a2", destinations=(start.operation.destination.name,))
    assert not master.starts("a2")
    assert master.answer("a1", start, Status.CANCELLED).accepted == 1
    assert len(master.starts("a2")) == 1
    assert_conserved(master, live)


def test_the_kill_switch_cancels_everything_and_stops_every_agent():
    master = VirtualMaster()
    master.join("a1", "a2")
    lives = [master.submit("ALL"), master.submit("ALL", schedule=Scheduling.PM_RAN)]
    master.dispatcher.stop_all()
    assert [live.state for live in lives] == ["stopped", "stopped"]
    assert all(any(isinstance(each, StopAll) for each in master.commands[name]) for name in ("a1", "a2"))
    before = {name: len(master.starts(name)) for name in ("a1", "a2")}
    master.advance(30, alive=["a1", "a2"])
    assert {name: len(master.starts(name)) for name in ("a1", "a2")} == before
    for live in lives:
        assert_conserved(master, live)


def test_an_attached_request_ends_when_no_client_follows_it():
    master = VirtualMaster()
    master.join("a1")
    live = master.submit("a1", attached=True, schedule=Scheduling.PM_RAN, period_s=60.0)
    master.advance(11, alive=["a1"])
    assert live.state == "client_gone"
    assert isinstance(master.commands["a1"][-1], StopTask)
    assert_conserved(master, live)


def test_rounds_that_are_over_before_they_start_are_missed():
    master = VirtualMaster()
    master.join("a1")
    live = master.submit("a1", period_s=10.0, rounds=5, time_limit_s=60.0)
    master.advance(35, alive=["a1"])
    master.answer("a1", master.starts("a1")[0])
    assert statuses(live) == {"ok": 1, "missed": 2}
    assert live.state == "waiting"
    master.advance(1, alive=["a1"])
    master.answer("a1", master.starts("a1")[1])
    master.advance(8, alive=["a1"])
    assert live.state == "waiting"
    master.advance(1, alive=["a1"])
    master.answer("a1", master.starts("a1")[2])
    assert live.state == "done"
    assert statuses(live) == {"ok": 3, "missed": 2}
    assert_conserved(master, live)


def test_a_budget_of_a_destination_binds_every_request():
    master = VirtualMaster(packets=25)
    master.join("a1")
    live = master.submit("a1", parameters={"count": 10})
    master.answer("a1", master.starts("a1")[0])
    other = master.submit("a1", parameters={"count": 16}, requester="manager")
    assert statuses(other) == {"rate_limited": 1}
    assert other.state == "done"
    master.advance(60, alive=["a1"])
    third = master.submit("a1", parameters={"count": 16})
    assert third.open == 1
    assert_conserved(master, live)
    assert_conserved(master, other)


def test_destinations_with_one_address_are_measured_one_after_the_other():
    master = VirtualMaster()
    master.join("a1", "a2")
    request = master.submit("ALL", destinations=("d1",)).request
    for name in ("a1", "a2"):
        for start in master.starts(name):
            master.answer(name, start)
    both = [Destination(name=name, address="203.0.113.7") for name in ("www.example", "video.example")]
    live = master.dispatcher.submit(request, "alice", ["a1", "a2"], both)
    for _ in range(10):
        open_ = [(name, start) for name in ("a1", "a2") for start in master.starts(name) if start.lease_id]
        running = [(n, s) for n, s in open_ if s.operation.operation_id in master.dispatcher.rounds.leases]
        assert len(running) <= 1
        for name, start in running:
            master.answer(name, start)
    assert statuses(live) == {"ok": 4}


def test_pm_ran_goes_to_the_queues_and_each_next_round_is_planned_with_the_outcome():
    master = VirtualMaster()
    master.join("a1", "a2")
    live = master.submit("ALL", schedule=Scheduling.PM_RAN, period_s=10.0, rounds=3)
    tasks = {name: master.commands[name][-1] for name in ("a1", "a2")}
    assert all(isinstance(task, AddTask) and task.period_s == 10.0 for task in tasks.values())
    for name, task in tasks.items():
        assert master.answer(name, task, next_round=2).accepted == 1
    assert statuses(live) == {"ok": 2, "missed": 2}
    assert (live.planned, live.open) == (6, 2)
    master.dispatcher.agent_gone(master.members["a1"])
    assert statuses(live) == {"ok": 2, "missed": 2, "agent_lost": 1}
    assert_conserved(master, live)


def test_an_agent_that_returns_continues_a_periodic_task():
    master = VirtualMaster()
    master.join("a1")
    live = master.submit("ALL", schedule=Scheduling.PM_RAN, period_s=10.0)
    master.dispatcher.agent_gone(master.members["a1"])
    assert live.state == "waiting"
    master.join("a1")
    assert live.state == "running"
    (task,) = master.commands["a1"]
    assert task.first_round == 1
    assert task.operations[0].operation_id.startswith(f"{live.request_id}.1.")
    assert_conserved(master, live)


def test_a_round_of_pm_ran_over_the_budget_is_skipped_and_the_next_one_is_planned():
    master = VirtualMaster(packets=15)
    master.join("a1")
    live = master.submit("a1", schedule=Scheduling.PM_RAN, period_s=60.0, parameters={"count": 10})
    task = master.commands["a1"][-1]
    master.answer("a1", task, next_round=1)
    assert statuses(live)["ok"] == 1
    assert statuses(live)["rate_limited"] >= 1
    skipped = [each.operation_id for each in master.commands["a1"] if isinstance(each, SkipRound)]
    assert skipped[0].startswith(f"{live.request_id}.1.")
    assert_conserved(master, live)


def test_an_operation_in_a_queue_expires_if_its_agent_delivers_nothing():
    master = VirtualMaster()
    master.join("a1")
    live = master.submit("a1", schedule=Scheduling.PM_RAN, time_limit_s=10.0)
    master.advance(74, alive=["a1"])
    master.dispatcher.expire_queues()
    assert live.open == 1
    master.advance(1, alive=["a1"])
    master.dispatcher.expire_queues()
    assert statuses(live) == {"expired": 1}
    assert live.state == "done"
    assert_conserved(master, live)


def test_pm_ran_of_packet_trains_stays_under_the_masters_locks():
    master = VirtualMaster()
    master.join("a1", "a2")
    master.submit("ALL", technique=Technique.IGI, schedule=Scheduling.PM_RAN, consent={"d1": "token-of-d1"})
    starts = master.starts("a1") + master.starts("a2")
    assert len(starts) == 1
    assert starts[0].operation.parameters["token"] == "token-of-d1"


FIELDS = st.fixed_dictionaries(
    {
        "schedule": st.sampled_from(list(Scheduling)),
        "period_s": st.sampled_from([0.0, 5.0]),
        "technique": st.sampled_from([Technique.PING, Technique.IGI]),
        "destinations": st.sampled_from([("d1",), ("d1", "d2"), ("d3", "d2")]),
        "consent": st.just({"d1": "token-of-d1", "d2": "token-of-d2", "d3": "token-of-d3"}),
    }
)


def answer_one_of_each(master, answered, status):
    """Each agent delivers one outcome, with the status."""
    for name in sorted(master.members):
        open_ = [each for each in master.commands[name] if isinstance(each, Start | AddTask) and each.lease_id not in answered]
        for command in open_[:1]:
            answered.add(command.lease_id)
            periodic = isinstance(command, AddTask) and command.period_s
            master.answer(name, command, status, **({"next_round": command.first_round + 2} if periodic else {}))


@given(st.data())
def test_planned_operations_are_always_the_sum_of_the_statuses(data):
    """Agents join, answer, fall silent, disconnect; requests of all kinds come and are cancelled; time passes."""
    master, lives, answered = VirtualMaster(packets=200), [], set()
    master.join("a1")
    for _ in range(25):
        match data.draw(st.sampled_from(["submit", "join", "gone", "answer", "answer", "answer", "time", "cancel"])):
            case "submit" if any(member.connected for member in master.members.values()):
                lives.append(master.submit("ALL", **data.draw(FIELDS)))
            case "join":
                master.join(data.draw(st.sampled_from(["a1", "a2", "a3"])))
            case "gone":
                master.dispatcher.agent_gone(master.members[data.draw(st.sampled_from(sorted(master.members)))])
            case "answer":
                answer_one_of_each(master, answered, data.draw(st.sampled_from([Status.OK, Status.TIMEOUT_TARGET])))
            case "time":
                alive = data.draw(st.sets(st.sampled_from(sorted(master.members))))
                master.advance(data.draw(st.sampled_from([1, 7, 30])), alive=sorted(alive))
            case "cancel" if lives:
                master.dispatcher.cancel(data.draw(st.sampled_from(lives)), "cancelled", "the test cancels it")
        for live in lives:
            assert_conserved(master, live)
    for live in lives:
        master.dispatcher.cancel(live, "cancelled", "the test ends")
        assert live.open == 0
        assert_conserved(master, live)
    master.advance(100)
    assert not master.dispatcher.rounds.leases
    assert not master.dispatcher.rounds.board.running


def test_a_round_whose_agents_leave_before_their_queues_are_filled_is_accounted_for():
    master = VirtualMaster()
    master.join("a1", "a2", "a3")
    request = MeasurementRequest(technique=Technique.PING, agents=["ALL"], schedule=Scheduling.PM_RAN)
    destinations = [Destination(name=f"d{number}", address=f"203.0.113.{number}") for number in (1, 2)]
    live = master.dispatcher.submit(request, "alice", ["a1", "a2", "a3"], destinations)
    assert master.dispatcher.do_part()
    master.dispatcher.agent_gone(master.members["a2"])
    assert master.dispatcher.do_part()
    assert live.tally == {Status.AGENT_LOST: 2}
    master.dispatcher.cancel(live, RequestState.CANCELLED, "test")
    master.fill_queues()
    assert (live.planned, live.open, live.tally) == (6, 0, {Status.AGENT_LOST: 2, Status.CANCELLED: 4})
    assert [each for each in master.commands["a3"] if isinstance(each, AddTask)] == []


def test_a_restart_after_which_the_date_is_right_again_repeats_no_number_of_a_round(tmp_path):
    """The request was submitted while the date was 400 days ahead."""
    master = VirtualMaster()
    master.wall_ahead_s = 400 * 86_400
    master.join("a1")
    live = master.submit("ALL", period_s=10.0, keep=True)
    for _ in range(5):
        master.answer("a1", master.starts("a1")[-1])
        master.advance(11, alive=["a1"])
    ended = {each.outcome.operation_id for each in master.records}
    assert len(ended) == 5
    kept = KeptRequests(tmp_path)
    kept.save(kept.snapshot([live], RecordCursor(1, 0)))
    [again], _ = kept.restored(master.now_s, int(master.now_s * 1000), start_s=master.now_s)
    restarted = VirtualMaster()
    restarted.now_s = master.now_s
    restarted.dispatcher.restore([again], [], restarted.now_s)
    restarted.join("a1")
    restarted.advance(25, alive=["a1"])
    assert restarted.starts("a1")
    assert not ended & {start.operation.operation_id for start in restarted.starts("a1")}


def test_a_cancelled_request_whose_operations_are_still_being_ended_does_not_continue_after_a_restart(tmp_path):
    master = VirtualMaster()
    master.join("a1")
    live = master.submit("a1", destinations=[f"d{number}" for number in range(600)], period_s=60.0, keep=True)
    master.dispatcher.cancel(live, RequestState.CANCELLED, "it was cancelled by request")
    assert 0 < live.open < 600
    kept = KeptRequests(tmp_path)
    kept.save(kept.snapshot([live], RecordCursor(0, 0)))
    [again], _ = kept.restored(0.0, live.submitted_ms, start_s=10.0)
    assert (again.state, again.open, again.next_start_s) == ("cancelled", live.open, None)
    master.fill_queues()
    assert statuses(live) == {"cancelled": 600}
    assert_conserved(master, live)
