"""Addresses to listen on, and the errors of those that cannot be used."""

import errno
import socket

import pytest

from serving.lifecycle import CannotStart, open_listener
from serving.listening import is_host, is_http_url, listen_error, parse_listen, reason_of


@pytest.mark.parametrize("name", ["a..b", ".a", f"{'a' * 64}.example"])
def test_a_name_that_cannot_be_looked_up_is_a_usage_error(name):
    assert not is_host(name)
    assert not is_http_url(f"http://{name}:8080")
    with pytest.raises(ValueError, match="it needs an address and a port"):
        parse_listen(f"{name}:8080")


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "::1", "fs1.example.", "müller.example"])
def test_addresses_and_names_can_be_looked_up(name):
    assert is_host(name)


def test_a_used_port_is_reported_once_with_its_address():
    with socket.create_server(("127.0.0.1", 0)) as used:
        port = used.getsockname()[1]
        with pytest.raises(CannotStart) as failed:
            open_listener(f"127.0.0.1:{port}")
    assert str(failed.value) == f"cannot listen on 127.0.0.1:{port}: Address already in use"


def test_an_ipv6_address_can_be_listened_on_and_is_shown_in_brackets():
    with open_listener("[::1]:0") as listener:
        assert listener.family == socket.AF_INET6
    error = OSError(errno.EADDRNOTAVAIL, "error while attempting to bind on address ('2001:db8::1', 80): cannot assign")
    assert listen_error("2001:db8::1", 80, error) == "cannot listen on [2001:db8::1]:80: Cannot assign requested address"


def test_a_name_without_an_address_keeps_the_text_of_the_resolver():
    assert reason_of(socket.gaierror(socket.EAI_NONAME, "Name or service not known")) == "Name or service not known"
