"""Which followed address provides the logs of which server name."""

import pytest

from monitor_platform.retrieval.feedback_server_client import UnusableAnswer
from monitor_platform.retrieval.server_names import ServerNames

ONE, TWO = "http://10.0.0.1:8090", "http://10.0.0.2:8090"


def test_two_addresses_cannot_have_one_name():
    names = ServerNames([ONE, TWO])
    names.claim("fs1", ONE)
    names.claim("fs1", ONE, was="fs1")
    with pytest.raises(UnusableAnswer, match="both have the name fs1; give each its own --name"):
        names.claim("fs1", TWO)


def test_two_servers_that_exchange_their_names_are_both_followed_again():
    names = ServerNames([ONE, TWO])
    names.claim("fs1", ONE)
    names.claim("fs2", TWO)
    with pytest.raises(UnusableAnswer, match="both have the name fs2"):
        names.claim("fs2", ONE, was="fs1")
    names.claim("fs1", TWO, was="fs2")
    names.claim("fs2", ONE)
    with pytest.raises(UnusableAnswer, match="both have the name fs1"):
        names.claim("fs1", ONE, was="fs2")
