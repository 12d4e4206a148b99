"""The ring of the Emodis paper, section 4."""

from measurement.scheduling.board import Board, Slot
from measurement.scheduling.ring_round import RingRound
from measurement.scheduling.virtual_time import makespan_s, run_to_end


def board_with(agents, destinations):
    board = Board()
    for agent in agents:
        board.add_agent(agent)
    board.add_round("r", RingRound(agents, destinations))
    return board


def slots(*pairs):
    return [Slot("r", agent, destination) for agent, destination in pairs]


def test_the_ring_takes_the_five_steps_of_figure_3_of_the_paper():
    board = board_with(["a1", "a2", "a3"], ["d1", "d2", "d3", "d4"])
    assert board.start_ready() == slots(("a1", "d1"), ("a2", "d2"), ("a3", "d3"))  # step 1
    board.finish(Slot("r", "a2", "d2"))
    assert board.start_ready() == []  # step 2: a2 waits, because a3 is still at d3
    board.finish(Slot("r", "a1", "d1"))
    assert board.start_ready() == slots(("a1", "d2"))  # step 3: no agent is at d2
    board.finish(Slot("r", "a3", "d3"))
    assert board.start_ready() == slots(("a2", "d3"), ("a3", "d4"))  # step 4: a3 moves on and a2 is released
    board.finish(Slot("r", "a3", "d4"))
    assert board.start_ready() == slots(("a3", "d1"))  # step 5: a3 moves back to d1


def test_with_equal_durations_and_no_more_agents_than_destinations_the_ring_is_optimal():
    for agents in range(1, 7):
        for destinations in range(agents, 8):
            board = board_with([f"a{i}" for i in range(agents)], [f"d{i}" for i in range(destinations)])
            intervals = list(run_to_end(board, lambda _slot: 2.0))
            assert len(intervals) == agents * destinations
            assert makespan_s(intervals) == 2.0 * destinations


def test_more_agents_than_destinations_measure_in_phases():
    board = board_with([f"a{i}" for i in range(5)], ["d0", "d1"])
    intervals = list(run_to_end(board, lambda _slot: 1.0))
    starts = {each.slot.agent: each.start_s for each in reversed(intervals)}
    assert starts == {"a0": 0, "a1": 0, "a2": 2, "a3": 2, "a4": 4}
    assert makespan_s(intervals) == 6.0


def test_a_phase_continues_without_an_agent_that_leaves():
    board = board_with(["a1", "a2", "a3"], ["d1", "d2"])
    first = board.start_ready()
    assert first == slots(("a1", "d1"), ("a2", "d2"))
    assert board.remove_agent("a1") == slots(("a1", "d2"))
    board.finish(first[1])
    assert board.start_ready() == []  # a1 may still be sending to d1
    board.finish(first[0])
    assert board.start_ready() == slots(("a2", "d1"))
    board.finish(Slot("r", "a2", "d1"))
    assert board.start_ready() == slots(("a3", "d1"))  # the first agent of the next phase starts at the first destination
