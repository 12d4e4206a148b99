"""Access decisions that need no connection: tickets, limits on guessing, and the users that a proxy may name."""

import time
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor_platform.access.attempts import BY_ADDRESS, REMEMBERED, Allowance, Attempts
from monitor_platform.access.passwords import Hash
from monitor_platform.access.proxies import Proxies
from monitor_platform.access.tickets import Tickets
from monitor_platform.entrance import gate_of
from monitor_platform.settings import Settings
from serving.forwarded import parse_networks
from serving.lived_time import DAY_S

HASH = Hash(cost=2, block=1, parallel=1, salt=b"s" * 16, digest=b"d" * 16)
OTHER = Hash(cost=2, block=1, parallel=1, salt=b"t" * 16, digest=b"d" * 16)
TICKETS = Tickets(lasts_s=1e9)
TICKET = TICKETS.issue("王小明", HASH)
USERS = {"王小明": HASH}


@pytest.fixture
def clock(monkeypatch):
    """Both clocks of the process in seconds; a test may set the wall clock to another date."""
    now = SimpleNamespace(monotonic_s=0.0, date_s=1_790_000_000.0)
    monkeypatch.setattr(time, "time", lambda: now.date_s + now.monotonic_s)
    monkeypatch.setattr(time, "monotonic", lambda: now.monotonic_s)
    return now


def test_a_ticket_is_valid_until_it_ends(clock):
    tickets = Tickets(lasts_s=100)
    ticket = tickets.issue("王小明", HASH)
    for clock.monotonic_s in (0, 99):
        assert tickets.read(ticket, USERS.get).name == "王小明"
    clock.monotonic_s = 100
    assert tickets.read(ticket, USERS.get) is None


def test_a_ticket_is_valid_for_one_key_one_user_and_one_password():
    assert Tickets(lasts_s=1e9).read(TICKET, USERS.get) is None
    assert TICKETS.read(TICKET, {}.get) is None
    assert TICKETS.read(TICKET, {"王小明": OTHER}.get) is None


@given(place=st.integers(0, len(TICKET) - 2), put=st.characters(codec="utf-8"))
def test_a_ticket_with_a_changed_character_is_invalid(place, put):
    # The very last character of each part holds bits that base64 does not use.
    forged = TICKET[:place] + put + TICKET[place + 1 :]
    read = TICKETS.read(forged, USERS.get)
    assert read is None or read == TICKETS.read(TICKET, USERS.get)


@given(st.text())
def test_no_text_is_a_valid_ticket_or_raises_an_error(text):
    assert TICKETS.read(text, USERS.get) is None


def test_an_ended_ticket_stays_ended_and_is_removed_after_its_expiry(clock):
    tickets = Tickets(lasts_s=100)
    first = tickets.issue("王小明", HASH)
    clock.monotonic_s = 50
    second = tickets.issue("王小明", HASH)
    tickets.end(tickets.read(first, USERS.get))
    assert tickets.read(first, USERS.get) is None
    assert tickets.read(second, USERS.get) is not None
    clock.monotonic_s = 149
    tickets.end(tickets.read(second, USERS.get))
    assert list(tickets._ended.values()) == [150]


def test_a_wrong_date_of_the_platform_neither_lengthens_a_login_nor_renews_an_ended_one(clock):
    tickets = gate_of(Settings(static=(Path(),)), 8070, ExitStack()).tickets
    clock.date_s += 400 * DAY_S
    ticket, other = (tickets.issue("王小明", HASH) for _ in range(2))
    tickets.end(tickets.read(other, USERS.get))
    clock.date_s += 400 * DAY_S
    tickets.end(tickets.read(tickets.issue("王小明", HASH), USERS.get))
    clock.date_s -= 800 * DAY_S
    assert tickets.read(ticket, USERS.get) is not None
    assert tickets.read(other, USERS.get) is None
    clock.monotonic_s = tickets.lasts_s
    assert tickets.read(ticket, USERS.get) is None


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
