"""`swarmscope measurement-responder`: consents with a token, and ends at once."""

import re

from measurement.operation import Technique
from tests.harness.processes import run_here
from tests.measurement.techniques.labs import executed, operation, values


def test_an_agent_measures_with_the_token_that_the_responder_prints(serve):
    responder = serve("measurement-responder", "--listen", "127.0.0.1:0")
    token = re.search(r"the token for agents is (\S+)", responder.log_text())[1]
    outcome = executed(operation(Technique.RTP, "127.0.0.1", port=responder.port, token=token, packets=10))
    assert outcome.status == "ok"
    assert values(outcome)["packets_returned"] == 10
    assert responder.stop() == 0
    assert "127.0.0.1 measures with 'RTP'" in responder.log_text()
    assert "sessions 1, wrong_tokens 0" in responder.log_text()
    ended = executed(operation(Technique.RTP, "127.0.0.1", port=responder.port, token=token, packets=10))
    assert ended.status == "refused"


def test_a_token_that_is_given_is_not_printed(serve):
    responder = serve(
        "measurement-responder", "--listen", "127.0.0.1:0", env={"SWARMSCOPE_MEASUREMENT_RESPONDER_TOKEN": "hidden-token"}
    )
    assert executed(operation(Technique.RTP, "127.0.0.1", port=responder.port, token="hidden-token", packets=10)).status == "ok"
    assert "hidden-token" not in responder.log_text()


def test_wrong_settings_are_usage_errors():
    for flags, message in (
        (("--listen", "7420"), "--listen is '7420'; it needs an address and a port"),
        (("--token", "short"), "--token has 5 characters; it needs at least 8"),
        (("--token", "two words"), "--token must be made of visible ASCII characters"),
    ):
        ended = run_here("measurement-responder", *flags)
        assert ended.returncode == 2
        assert message in ended.stderr
