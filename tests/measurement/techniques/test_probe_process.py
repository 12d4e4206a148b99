"""The probe process, without any right of root: what works, and what says that it needs one."""

import subprocess
import sys
from collections.abc import Sequence

import msgspec
import pytest

from measurement.operation import Operation, Technique
from measurement.outcome import Outcome
from measurement.techniques.__main__ import ProbeAnswer, ProbeOrder
from netlab import Lab
from tests.measurement.techniques.labs import answer_every_probe, chain, operation, set_in, values
from tests.measurement.techniques.test_responder import TOKEN, responder_at
from tests.netlab.labs import needs_namespaces

WITHOUT_RIGHTS = ("setpriv", "--bounding-set=-all", "--inh-caps=-all")
PROBE = (sys.executable, "-m", "measurement.techniques")


def lines(orders: Sequence[Operation]) -> bytes:
    return b"".join(msgspec.json.encode(ProbeOrder(operation=order)) + b"\n" for order in orders)


def answers(printed: bytes) -> list[ProbeAnswer]:
    return [msgspec.json.decode(line, type=ProbeAnswer) for line in printed.splitlines()]


def executed_at(lab: Lab, node: str, *orders: Operation, prefix: Sequence[str] = ()) -> list[Outcome]:
    process = lab.start(node, [*prefix, *PROBE], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    printed, _ = process.communicate(lines(orders), timeout=120)
    assert process.returncode == 0
    return [answer.outcome for answer in answers(printed) if answer.final]


@needs_namespaces
def test_without_root_only_the_techniques_that_need_cap_net_raw_are_refused():
    with Lab(chain(None, None)) as lab, responder_at(lab, "dst") as responder:
        answer_every_probe(lab)
        set_in(lab, "src", {"ipv4/ping_group_range": "0 2147483647"})
        target, trains = lab.address("dst"), {"port": responder.port, "token": TOKEN}
        outcomes = executed_at(
            lab,
            "src",
            operation(Technique.PING, target, count=3, interval_ms=10),
            operation(Technique.TRACEROUTE, target),
            operation(Technique.IGI, target, **trains),
            operation(Technique.RTP, target, packets=10, **trains),
            operation(Technique.TCP_SEND, target, port=responder.port, text="\n"),
            operation(Technique.PATHNECK, target, **trains),
            prefix=WITHOUT_RIGHTS,
        )
        set_in(lab, "src", {"ipv4/ping_group_range": "1 0"})
        ping = executed_at(lab, "src", operation(Technique.PING, target), prefix=WITHOUT_RIGHTS)
    assert [outcome.status for outcome in outcomes[:2]] == ["ok", "ok"]
    assert outcomes[2].status in ("ok", "partial")  # without real-time scheduling, a busy machine disturbs trains
    assert values(outcomes[2])["capacity_kbps"] > 0
    assert [outcome.status for outcome in outcomes[3:]] == ["ok", "ok", "needs_cap_net_raw"]
    assert ping[0].status == "needs_cap_net_raw"
    assert "ping_group_range" in ping[0].reason


def run(text: bytes) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(PROBE, input=text, capture_output=True, timeout=120, check=False)


def test_partial_outcomes_come_before_the_final_one_and_every_operation_has_one():
    orders = [operation(Technique.TRACEROUTE, "127.0.0.1"), operation(Technique.PING, "nowhere")]
    ended = run(lines(orders))
    assert ended.returncode == 0
    found = [(answer.outcome.status, answer.final) for answer in answers(ended.stdout)]
    assert found == [("partial", False), ("ok", True), ("refused", True)]


def test_a_fault_of_the_code_is_an_outcome_too(monkeypatch):
    from measurement.techniques import __main__ as process
    from measurement.techniques import registry

    def fault(task, parameters):
        return 1 / 0

    monkeypatch.setitem(registry.TECHNIQUES, Technique.PING, fault)
    outcome = process._execute(ProbeOrder(operation=operation(Technique.PING, "127.0.0.1")))
    assert outcome.status == "agent_lost"
    assert "ZeroDivisionError" in outcome.reason


@pytest.mark.parametrize("technique", Technique)
def test_every_technique_is_in_the_registry(technique):
    from measurement.techniques.registry import TECHNIQUES

    assert technique in TECHNIQUES
