import pytest

from coordinator.settings import Settings
from tests.harness.processes import run_swarmscope

URL = ("http://127.0.0.1:8090",)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"feedback_server": ()}, "give --feedback-server URL"),
        ({"feedback_server": ("127.0.0.1:8090",)}, "http or https URL"),
        ({"feedback_server": URL * 2}, "given twice"),
        ({"listen": "8080"}, "an address and a port"),
        ({"listen": "127.0.0.1:99999"}, "an address and a port"),
        ({"sample": 0.0}, "above 0 and at most 1"),
        ({"sample": float("nan")}, "above 0 and at most 1"),
        ({"workers": 0}, "1 or more"),
        ({"quarantine_max_bytes": -1}, "0 .keep nothing. or more"),
        ({"spool_max_bytes": -1}, "0 .no spool. or more"),
        ({"connections_max": 0}, "1 or more"),
        ({"trusted_proxy": ("10.0.0.1/8",)}, "needs an address or a network"),
        ({"name": "Hong Kong"}, "such as c1"),
        ({"listen": "0.0.0.0:8080"}, "listen on 127.0.0.1"),
        ({"listen": "192.0.2.1:8080"}, "listen on 127.0.0.1"),
        ({"insecure": False}, "give --key"),
        ({"insecure": False, "key": ("k",)}, "give --key"),
        ({"key": ("two words",), "token": "t"}, "visible ASCII"),
    ],
)
def test_a_bad_setting_is_refused_with_advice(values: dict, words: str):
    with pytest.raises(ValueError, match=words):
        Settings(**({"feedback_server": URL, "insecure": True} | values))


@pytest.mark.parametrize("listen", ["127.0.0.1:0", "localhost:1", "[::1]:8080"])
def test_without_keys_only_this_machine_is_served(listen: str):
    assert Settings(feedback_server=URL, insecure=True, listen=listen).address[1] >= 0


def test_the_command_refuses_a_bad_setting_with_its_reason():
    refused = run_swarmscope("coordinator", "--feedback-server", URL[0])
    assert refused.returncode != 0
    assert "--insecure" in refused.stdout + refused.stderr
