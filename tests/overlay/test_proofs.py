"""Which nodes may join, which joins are refused, and when a lease ends."""

import pytest

from overlay.leases import Leases
from overlay.proofs import CLOCK_MAY_DIFFER_MS, MOST_NONCES, ProofRefusal, Purpose, ReplayGuard, is_proof, link_key, node_key, proof

SECRET, NONCE, OTHER = b"s" * 32, b"a" * 16, b"b" * 16
NOW_MS = 1_700_000_000_000


def test_a_proof_holds_for_its_purpose_node_and_nonces_only():
    key = node_key(SECRET, "n1")
    mac = proof(key, Purpose.ACK, "n1", NONCE)
    assert is_proof(mac, key, Purpose.ACK, "n1", NONCE)
    assert not is_proof(mac, node_key(SECRET, "n2"), Purpose.ACK, "n1", NONCE)
    assert not is_proof(mac, key, Purpose.ACK, "n2", NONCE)
    assert not is_proof(mac, key, Purpose.ACK, "n1", OTHER)
    assert not is_proof(mac, key, Purpose.ACK, "n1", NONCE[:8], NONCE[8:])
    assert not any(is_proof(mac, key, purpose, "n1", NONCE) for purpose in Purpose if purpose is not Purpose.ACK)


def test_two_neighbours_derive_the_same_key_and_no_third_node_has_it():
    assert link_key(SECRET, "n1", "n2") == link_key(SECRET, "n2", "n1")
    assert link_key(SECRET, "n1", "n2") != link_key(SECRET, "n1", "n3")
    assert link_key(SECRET, "n1", "n2") not in (node_key(SECRET, "n1"), node_key(SECRET, "n2"))
    assert link_key(SECRET, "a", "bc") != link_key(SECRET, "ab", "c")


def test_a_recorded_join_is_refused_as_long_as_its_time_is_accepted():
    guard = ReplayGuard()
    assert guard.refusal(NONCE, NOW_MS, NOW_MS) is None
    for later_ms in (0, CLOCK_MAY_DIFFER_MS, CLOCK_MAY_DIFFER_MS + 1, 10 * CLOCK_MAY_DIFFER_MS):
        assert guard.refusal(NONCE, NOW_MS, NOW_MS + later_ms) in (ProofRefusal.REPLAY, ProofRefusal.CLOCK)
    # A sender whose clock is ahead could be replayed for twice as long.
    assert guard.refusal(OTHER, NOW_MS + CLOCK_MAY_DIFFER_MS, NOW_MS) is None
    assert guard.refusal(OTHER, NOW_MS + CLOCK_MAY_DIFFER_MS, NOW_MS + 2 * CLOCK_MAY_DIFFER_MS) is ProofRefusal.REPLAY


@pytest.mark.parametrize("difference_ms", [-CLOCK_MAY_DIFFER_MS - 1, CLOCK_MAY_DIFFER_MS + 1])
def test_a_join_with_another_time_is_refused(difference_ms: int):
    assert ReplayGuard().refusal(NONCE, NOW_MS + difference_ms, NOW_MS) is ProofRefusal.CLOCK


def test_the_memory_for_joins_is_bounded_and_frees_itself():
    guard = ReplayGuard()
    for number in range(MOST_NONCES):
        assert guard.refusal(number.to_bytes(16, "big"), NOW_MS, NOW_MS) is None
    assert guard.refusal(NONCE, NOW_MS, NOW_MS) is ProofRefusal.TOO_MANY
    much_later_ms = NOW_MS + 3 * CLOCK_MAY_DIFFER_MS
    assert guard.refusal(NONCE, much_later_ms, much_later_ms) is None


def test_a_lease_ends_when_no_message_arrives_for_its_time_and_not_before():
    leases = Leases(lease_s=3)
    assert leases.renew("n1", 0.0)
    assert not leases.renew("n1", 2.0)
    assert leases.expire(4.9) == []
    assert "n1" in leases
    assert leases.expire(5.0) == ["n1"]
    assert "n1" not in leases
    assert len(leases) == 0


def test_a_node_that_leaves_is_removed_at_once():
    leases = Leases()
    leases.renew("n1", 0.0)
    assert leases.end("n1")
    assert not leases.end("n1")
    assert leases.expire(100.0) == []
