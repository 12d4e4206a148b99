"""Timers, keys, limits, addresses and budgets: the rules of the master as plain functions."""

import pytest

from measurement.master.dry_run_plan import dry_run
from measurement.master.keepalive_timers import KeepaliveTimers
from measurement.master.measurement_keys import MeasurementKeys, read_measurement_keys
from measurement.master.requester_limits import RequesterLimits
from measurement.master.settings import Settings
from measurement.master.target_rules import DestinationBudgets, TargetRules, parse_allowed
from measurement.measurement_request import InvalidRequestError, MeasurementRequest, read_request, split_host
from measurement.operation import Destination, Technique
from measurement.technique_parameters import Cost
from tests.measurement.measurement_lab import KEYS


@pytest.mark.parametrize(
    ("timers", "why"),
    [
        ({"agent_s": 20.0, "master_s": 20.0}, "must be above --agent-timer-s"),
        ({"agent_s": 21.0}, "must be above --agent-timer-s"),
        ({"master_s": 22.0}, "below"),
        ({"reconnect_s": 10.0}, "below"),
        ({"keepalive_s": 15.0}, "longer than the time between keep-alives"),
        ({"keepalive_s": 0.0}, "keep-alives"),
    ],
)
def test_timers_that_do_not_fit_together_are_refused(timers, why):
    with pytest.raises(ValueError, match=why):
        KeepaliveTimers(**timers)


def test_the_usual_timers_fit_together():
    timers = KeepaliveTimers()
    assert timers.agent_s < timers.master_s < timers.agent_s + timers.reconnect_s - timers.keepalive_s


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({}, "give --keys"),
        ({"insecure": True, "listen": "0.0.0.0:1"}, "loopback only"),
        ({"insecure": True, "master_timer_s": 60.0}, "--master-timer-s is 60"),
        ({"insecure": True, "allow_network": ("10.0.0.0/99",)}, "--allow-network"),
        ({"insecure": True, "request_every_s": -1.0}, "--request-every-s"),
        ({"insecure": True, "destination_packets": 0}, "--destination-packets"),
    ],
)
def test_settings_of_a_master_are_checked_at_its_start(settings, why):
    with pytest.raises(ValueError, match=why):
        Settings(**settings)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("x", "is not TOML"),
        ("[keys.a]\nrole = 'king'\nsecret = '0123456789abcdef'", "use requester, manager or agent"),
        ("[keys.a]\nrole = 'agent'\nsecret = 'short'", "at least 16"),
        ("[keys.a]\nrole = 'agent'", "give it a table"),
        ("[keys.a]\nrole='agent'\nsecret='0123456789abcdef'\n[keys.b]\nrole='agent'\nsecret='0123456789abcdef'", "same secret"),
        ("", "must hold a table"),
    ],
)
def test_a_keys_file_with_an_error_is_refused_without_its_secrets(tmp_path, text, why):
    (tmp_path / "keys.toml").write_text(text)
    with pytest.raises(ValueError, match=why) as refused:
        read_measurement_keys(tmp_path / "keys.toml")
    assert "0123456789abcdef" not in str(refused.value)


def test_a_key_is_found_by_its_secret_only(tmp_path):
    (tmp_path / "keys.toml").write_text(KEYS)
    keys = read_measurement_keys(tmp_path / "keys.toml")
    assert MeasurementKeys(keys).requester(f"Bearer {keys[0].secret}").name == keys[0].name
    assert all(key.secret not in repr(key) for key in keys)


def test_a_requesters_wait_survives_a_restart_and_no_clock_makes_it_longer(tmp_path):
    times = {"monotonic": 100.0, "wall": 1e9}
    make = lambda: RequesterLimits(tmp_path / "l.json", 300.0, lambda: times["monotonic"], lambda: times["wall"])  # noqa: E731
    limits = make()
    assert limits.retry_after_s("alice") == 0
    limits.submitted("alice")
    times["wall"] += 3600.0  # the clock is set: the running master does not notice
    assert limits.retry_after_s("alice") == 300
    times["monotonic"] += 299.5
    assert limits.retry_after_s("alice") == 1
    times["monotonic"] += 0.5
    assert limits.retry_after_s("alice") == 0
    limits.submitted("alice")
    times["wall"] -= 7200.0
    assert make().retry_after_s("alice") == 300  # after a restart with a clock that was set back
    times["wall"] += 7200.0 + 100.0
    assert make().retry_after_s("alice") == 200


def test_a_damaged_file_of_limits_is_named(tmp_path):
    (tmp_path / "l.json").write_text("{")
    with pytest.raises(ValueError, match=r"l\.json is damaged"):
        RequesterLimits(tmp_path / "l.json", 300.0, lambda: 0.0, lambda: 0.0)


def test_a_lab_network_is_exempt_but_the_masters_own_and_group_addresses_are_not():
    rules = TargetRules(allowed=parse_allowed(["10.0.0.0/8"]), own={"203.0.113.9", "10.0.0.9"}, invite={"sip.example"})

    def refusal(address, technique=Technique.PING, consent=""):
        return rules.refusal(technique, Destination(name="sip.example", address=address), consent)

    assert refusal("10.1.2.3") == ""
    assert refusal("8.8.8.8") == ""
    assert "private" in refusal("192.168.1.1")
    assert "address of the master" in refusal("203.0.113.9")
    assert "one host" in refusal("224.0.0.1")
    assert refusal("8.8.8.8", Technique.SIP_INVITE) == ""
    assert "consented" in refusal("8.8.8.8", Technique.PATHNECK)
    assert refusal("8.8.8.8", Technique.PATHNECK, "token-of-it") == ""


def test_a_budget_refills_within_a_minute():
    budgets = DestinationBudgets(packets=100, bytes=1000)
    assert budgets.take("d", 100, 10, 0.0)
    assert not budgets.take("d", 1, 10, 0.0)
    assert budgets.take("e", 100, 1000, 0.0)
    assert budgets.take("d", 50, 10, 30.0)
    assert not budgets.take("d", 1, 10, 30.0)
    assert not budgets.take("d", 1, 1001, 9e9)
    budgets.forget_full(91.0)
    assert budgets.take("d", 100, 1000, 91.0)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"{", "is not a measurement request"),
        (b'{"technique": "NOSE"}', "technique"),
        (b'{"technique": "PING", "x": 1}', "unknown field `x`"),
        (b'{"technique": "PING", "period_s": 0.5}', "period_s is 0.5"),
        (b'{"technique": "PING", "rounds": 3}', "period_s is 0"),
        (b'{"technique": "PING", "keep": true}', "keep restores periodic"),
        (b'{"technique": "PING", "period_s": 9, "keep": true, "attached": true}', "exclude each other"),
        (b'{"technique": "PING", "agents": ["ALL", "a1"]}', "ALL stands alone"),
        (b'{"technique": "PING", "agents": []}', "agents"),
        (b'{"technique": "PING", "destinations": ["a b"]}', "is not a host"),
    ],
)
def test_the_error_of_a_wrong_request_states_what_is_wrong(body, why):
    with pytest.raises(InvalidRequestError, match=why):
        read_request(body)


def test_destinations_name_a_host_and_maybe_a_port():
    assert split_host("hk.example:443") == ("hk.example", 443)
    assert split_host("2001:db8::1") == ("2001:db8::1", 0)
    assert split_host("[2001:db8::1]:80") == ("2001:db8::1", 80)
    for wrong in ("host:99999", "a..b", f"{'a' * 64}.example"):
        with pytest.raises(InvalidRequestError):
            split_host(wrong)


def test_two_names_of_one_address_are_planned_one_after_the_other():
    names = [Destination(name=name, address="10.9.1.10", port=port) for name, port in (("10.9.1.10", 0), ("10.9.1.10:8000", 8000))]
    request = MeasurementRequest(technique=Technique.PING, destinations=[each.name for each in names])
    plan = dry_run(request, ["a1", "a2"], names, Cost(packets=10, size_bytes=600, seconds=2.0))
    assert (plan.operations, plan.packets, plan.seconds) == (4, 40, 8.0)
