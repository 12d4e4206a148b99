"""Access decisions that need no connection: tickets, limits on guessing, and the users that a proxy may name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor_platform.access.attempts import BY_ADDRESS, REMEMBERED, Allowance, Attempts
from monitor_platform.access.passwords import Hash
from monitor_platform.access.proxies import Proxies
from monitor_platform.access.tickets import Tickets
from serving.forwarded import parse_networks

HASH = Hash(cost=2, block=1, parallel=1, salt=b"s" * 16, digest=b"d" * 16)
OTHER = Hash(cost=2, block=1, parallel=1, salt=b"t" * 16, digest=b"d" * 16)
TICKETS = Tickets(lasts_s=100)
TICKET = TICKETS.issue("王小明", HASH, 1000)
USERS = {"王小明": HASH}


def test_a_ticket_is_valid_until_it_ends():
    assert TICKETS.read(TICKET, USERS.get, 1000).name == TICKETS.read(TICKET, USERS.get, 1099).name == "王小明"
    assert TICKETS.read(TICKET, USERS.get, 1100) is None


def test_a_ticket_is_valid_for_one_key_one_user_and_one_password():
    assert Tickets(lasts_s=100).read(TICKET, USERS.get, 1000) is None
    assert TICKETS.read(TICKET, {}.get, 1000) is None
    assert TICKETS.read(TICKET, {"王小明": OTHER}.get, 1000) is None


@given(place=st.integers(0, len(TICKET) - 2), put=st.characters(codec="utf-8"))
def test_a_ticket_with_a_changed_character_is_invalid(place, put):
    # The very last character of each part holds bits that base64 does not use.
    forged = TICKET[:place] + put + TICKET[place + 1 :]
    read = TICKETS.read(forged, USERS.get, 1000)
    assert read is None or read == TICKETS.read(TICKET, USERS.get, 1000)


@given(st.text())
def test_no_text_is_a_valid_ticket_or_raises_an_error(text):
    assert TICKETS.read(text, USERS.get, 1000) is None


def test_an_ended_ticket_stays_ended_and_is_removed_after_its_expiry():
    tickets = Tickets(lasts_s=100)
    first, second = tickets.issue("王小明", HASH, 0), tickets.issue("王小明", HASH, 50)
    tickets.end(tickets.read(first, USERS.get, 1), 1)
    assert tickets.read(first, USERS.get, 2) is None
    assert tickets.read(second, USERS.get, 51) is not None
    tickets.end(tickets.read(second, USERS.get, 149), 149)
    assert list(tickets._ended.values()) == [150]


def test_tries_become_available_again_with_time():
    allowance = Allowance(2, regain_s=30)
    for _ in range(2):
        assert allowance.wait_s("a", 0) == 0
        allowance.take("a", 0)
    assert allowance.wait_s("a", 0) == 30
    assert allowance.wait_s("b", 0) == 0
    assert allowance.wait_s("a", 29) == pytest.approx(1)
    assert allowance.wait_s("a", 30) == 0


def test_an_address_is_limited_before_the_user_and_a_refused_try_costs_nothing():
    attempts = Attempts()
    waits = [attempts.begin("192.0.2.1", "alice", 0) for _ in range(2 * BY_ADDRESS)]
    assert (waits[BY_ADDRESS - 1], waits[BY_ADDRESS] > 0) == (0, True)
    assert waits[-1] == waits[BY_ADDRESS]
    assert attempts.begin("192.0.2.2", "alice", 0) == 0


def test_a_user_is_protected_from_guesses_from_many_addresses():
    attempts = Attempts()
    assert max(attempts.begin(f"192.0.2.{n}", "alice", 0) for n in range(51)) > 0
    assert attempts.begin("192.0.2.200", "bob", 0) == 0


def test_login_attempts_from_one_ipv6_network_count_together():
    attempts = Attempts()
    assert max(attempts.begin(f"2001:db8::{n:x}", "alice", 0) for n in range(BY_ADDRESS + 1)) > 0
    assert attempts.begin("2001:db8:0:1::1", "alice", 0) == 0


def test_a_success_restores_the_tries_of_typing_errors():
    attempts = Attempts()
    for _ in range(BY_ADDRESS):
        attempts.begin("192.0.2.1", "alice", 0)
    attempts.succeeded("192.0.2.1", "alice")
    assert attempts.begin("192.0.2.1", "alice", 0) == 0


def test_a_million_addresses_take_no_more_memory_than_ten_thousand():
    allowance = Allowance(1, regain_s=30)
    for number in range(REMEMBERED + 100):
        allowance.take(str(number), 0)
    assert len(allowance._left) == REMEMBERED
    assert (allowance.wait_s("0", 0), allowance.wait_s(str(REMEMBERED), 0) > 0) == (0, True)


PROXIES = Proxies(trusted=parse_networks(["10.0.0.1", "10.1.0.0/16", "fd00::/8"]), user_header="X-User")


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("192.0.2.9", ["198.51.100.1"], "192.0.2.9"),
        ("10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["1.1.1.1, 198.51.100.1, 10.1.2.3"], "198.51.100.1"),
        ("10.0.0.1", ["1.1.1.1", "198.51.100.1"], "198.51.100.1"),
        ("::ffff:10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["198.51.100.1:50123"], "198.51.100.1"),
        ("10.0.0.1", ["not an address"], ""),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["10.1.0.1"], "10.1.0.1"),
    ],
)
def test_the_counted_address_is_the_last_one_that_is_not_our_proxy(peer, forwarded, client):
    assert PROXIES.sender(peer, forwarded).address == client


@pytest.mark.parametrize(
    ("peer", "header", "user"),
    [
        ("10.0.0.1", ["alice"], "alice"),
        ("10.0.0.1", ["王".encode().decode("latin-1")], "王"),
        ("10.0.0.2", ["alice"], None),
        ("", ["alice"], None),
        ("10.0.0.1", ["alice", "bob"], None),
        ("10.0.0.1", [], None),
        ("10.0.0.1", [""], None),
        ("10.0.0.1", ["\xff"], None),
    ],
)
def test_a_trusted_proxy_names_exactly_one_user(peer, header, user):
    assert PROXIES.user(peer, header) == user
