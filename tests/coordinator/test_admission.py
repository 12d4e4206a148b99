from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.admission import kept, recorded_address
from coordinator.carriers.destinations import FIRST_PAUSE_S, LONGEST_PAUSE_S, pause_s
from coordinator.placement import at_random, by_peer, least_pending, round_robin

names = st.lists(st.text(min_size=1, max_size=20), min_size=1, max_size=6, unique=True)


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5])
def test_a_sample_keeps_its_share_of_the_end_hosts(share: float):
    hosts = 40_000
    found = sum(kept(f"peer-{number}", share) for number in range(hosts))
    assert abs(found - hosts * share) < 5 * (hosts * share * (1 - share)) ** 0.5


@given(st.text(max_size=50), st.floats(0, 1), st.floats(0, 1))
def test_an_end_host_in_a_sample_is_in_every_larger_sample(peer_id: str, one: float, other: float):
    assert kept(peer_id, min(one, other)) <= kept(peer_id, max(one, other))
    assert kept(peer_id, 1)


def test_sampling_leaves_no_server_without_end_hosts():
    servers = ["http://a", "http://b", "http://c", "http://d"]
    placed = Counter(by_peer(f"peer-{n}", servers) for n in range(40_000) if kept(f"peer-{n}", 0.1))
    assert all(abs(count - 1000) < 200 for count in placed.values())
    assert len(placed) == 4


@given(st.text(max_size=50), names, st.randoms())
def test_an_end_host_stays_with_its_server_in_any_order_of_the_servers(peer_id: str, servers: list[str], random):
    chosen = servers[by_peer(peer_id, servers)]
    random.shuffle(servers)
    assert servers[by_peer(peer_id, servers)] == chosen


@given(st.text(max_size=50), names, st.integers(0, 5))
def test_only_the_end_hosts_of_a_removed_server_move(peer_id: str, servers: list[str], removed: int):
    chosen = by_peer(peer_id, servers)
    removed %= len(servers)
    if chosen != removed:
        rest = servers[:removed] + servers[removed + 1 :]
        assert rest[by_peer(peer_id, rest)] == servers[chosen]


@given(st.integers(1, 9), st.integers(0, 10**6), st.floats(0, 1, exclude_max=True))
def test_every_placement_policy_chooses_one_of_the_servers(count: int, turn: int, roll: float):
    assert 0 <= round_robin(count, turn) < count
    assert 0 <= at_random(count, roll) < count
    assert {round_robin(count, turn + step) for step in range(count)} == set(range(count))


@given(st.lists(st.integers(0, 5), min_size=1, max_size=6), st.integers(0, 100))
def test_the_least_loaded_server_is_chosen_and_equally_loaded_servers_alternate(pending: list[int], turn: int):
    assert pending[least_pending(pending, turn)] == min(pending)
    assert {least_pending([3] * len(pending), turn + step) for step in range(len(pending))} == set(range(len(pending)))


@given(st.integers(0, 10_000), st.floats(0, 1, exclude_max=True))
def test_pauses_between_readiness_probes_grow_to_a_limit_and_are_never_zero(failures: int, roll: float):
    assert FIRST_PAUSE_S <= pause_s(failures, roll) <= LONGEST_PAUSE_S


@pytest.mark.parametrize(
    ("address", "policy", "recorded"),
    [
        ("203.0.113.77", "keep", "203.0.113.77"),
        ("203.0.113.77", "truncate", "203.0.113.0"),
        ("203.0.113.77", "drop", ""),
        ("2001:db8:1:2:3:4:5:6", "truncate", "2001:db8:1::"),
        ("::ffff:203.0.113.77", "truncate", "203.0.113.0"),
        ("fe80::1%eth0", "keep", "fe80::1"),
        ("unknown", "keep", ""),
        ("", "truncate", ""),
    ],
)
def test_an_address_is_truncated_as_the_policy_requires(address: str, policy, recorded: str):
    assert recorded_address(address, policy) == recorded


@given(st.text(max_size=40))
def test_no_address_raises_an_error(text: str):
    assert len(recorded_address(text, "truncate")) < 40
