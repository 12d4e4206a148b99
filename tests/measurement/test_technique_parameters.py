"""Parameters are checked with clear errors, and their cost is known before anything is sent."""

import pytest

from measurement.operation import Destination, Operation, Technique
from measurement.technique_parameters import PARAMETERS, ParameterError, parse_parameters, planned_cost, read_parameters

REQUIRED = {Technique.DNS: {"name": "www.example.org"}}


def operation(technique: Technique, **parameters: str | int | float | bool) -> Operation:
    return Operation(
        operation_id="o1",
        request_id="r1",
        technique=technique,
        destination=Destination(name="192.0.2.1", address="192.0.2.1"),
        parameters=REQUIRED.get(technique, {}) | parameters,
    )


@pytest.mark.parametrize("technique", Technique)
def test_every_technique_has_parameters_with_defaults_and_a_cost(technique):
    cost = planned_cost(operation(technique))
    assert cost.packets > 0
    assert cost.size_bytes >= cost.packets * 28
    assert 0 < cost.seconds <= 60


@pytest.mark.parametrize("technique", Technique)
def test_every_parameter_is_explained(technique):
    assert PARAMETERS[technique].__doc__


@pytest.mark.parametrize(
    ("technique", "values", "message"),
    [
        ("PING", {"cuont": 3}, "PING has no parameter 'cuont'; it has count, interval_ms"),
        ("PING", {"count": 0}, "PING: the parameter 'count' is wrong: expected `int` >= 1"),
        ("PING", {"count": "many"}, "PING: the parameter 'count' is wrong: expected `int`, got `str`"),
        ("PING", {"count": True}, "the parameter 'count' is wrong: expected `int`, got `bool`"),
        ("TRACEROUTE", {"mode": "fast"}, "the parameter 'mode' is wrong"),
        ("DNS", {}, "missing required field `name`"),
        ("HTTP", {"path": "/a\r\nX: y"}, "the parameter 'path' is wrong"),
        ("HTTP", {"path": "a"}, "the parameter 'path' is wrong"),
        ("SIP_OPTIONS", {"uri": "sip:a@b\r\nX: y"}, "the parameter 'uri' is wrong"),
        ("SIP_OPTIONS", {"uri": "tel:5"}, "the parameter 'uri' is wrong"),
        ("UDP_SEND", {"hex": "abc"}, "the parameter 'hex' is wrong"),
        ("IGI", {"token": "two words"}, "the parameter 'token' is wrong"),
    ],
)
def test_a_wrong_parameter_is_refused_with_what_is_allowed(technique, values, message):
    with pytest.raises(ParameterError) as refused:
        read_parameters(Technique(technique), values)
    assert message in str(refused.value)


def test_the_cost_grows_with_the_parameters():
    few, many = planned_cost(operation(Technique.PING)), planned_cost(operation(Technique.PING, count=100))
    assert many.packets == 10 * few.packets
    assert many.size_bytes == 10 * few.size_bytes
    assert many.seconds > few.seconds


def test_a_secret_token_is_in_no_error():
    with pytest.raises(ParameterError) as refused:
        read_parameters(Technique.IGI, {"token": "hunter2 hunter2"})
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "host"),
    [
        ("media.example", "media.example"),
        ("media.example:8443", "media.example"),
        ("203.0.113.9:80", "203.0.113.9"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("2001:db8::1", "2001:db8::1"),
    ],
)
def test_the_host_of_a_destination_has_no_port(name, host):
    assert Destination(name=name, address="203.0.113.9").host == host


def test_texts_of_a_command_line_get_the_types_of_the_parameters():
    assert parse_parameters(Technique.PING, {"count": "20"}) == {"count": 20}
    assert parse_parameters(Technique.UDP_SEND, {"text": "123"}) == {"text": "123"}
    assert parse_parameters(Technique.UDP_SEND, {"hex": "0102"}) == {"hex": "0102"}
    with pytest.raises(ParameterError, match="count"):
        parse_parameters(Technique.PING, {"count": "many"})
