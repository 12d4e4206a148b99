"""Each service serves its published OpenAPI description, and answers all requests generated from it as described."""

import json
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import jsonschema
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from monitor_platform.api.history_handler import FIGURES
from monitor_platform.api.openapi import HISTORY
from serving.openapi import served
from swarmscope.commands.schema import DESCRIPTIONS
from tests.harness.logs import record, write_log
from tests.harness.processes import Server
from tests.harness.waiting import eventually

ROOT = Path(__file__).parents[2]
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    response_headers_conformance,
]
RECORDS = 30
QUICK = 3
LONG = 600
"""Examples for each operation, valid and invalid ones separately: thousands of requests in all."""

GROWTH_KIB = 64 * 1024


@schemathesis.serializer("application/x-ndjson")
def lines(_context: schemathesis.SerializationContext, value: object) -> bytes:
    """Schemathesis asks how to encode a text in this content type: unchanged."""
    return value.encode(errors="surrogatepass") if isinstance(value, str) else json.dumps(value).encode()


def recording(server: Server) -> Server:
    """The platform once its history holds the recorded logs: with an empty one every query would be the same."""
    eventually(lambda: requests.get(f"{server.url}{HISTORY}status", timeout=30).json()["messages"] == RECORDS)
    return server


def described(service: str) -> dict:
    return import_module(DESCRIPTIONS[service]).openapi()


@pytest.fixture
def start(serve: Callable[..., Server], tmp_path: Path) -> Callable[[str], Server]:
    """Start one of the services with what it needs."""

    def start(service: str) -> Server:
        listen = ("--listen", "127.0.0.1:0")
        if service == "monitor":
            write_log(tmp_path / "recorded", [record(seq=seq, channel=f"c{seq % 3}") for seq in range(RECORDS)])
            return recording(serve("monitor", *listen, "--static", str(tmp_path / "recorded"), "--history", str(tmp_path / "kept")))
        if service == "measurement-master":
            return serve("measurement-master", *listen, "--insecure", "--data", str(tmp_path / "measurement"))
        if service == "lab":  # no generated request may start sessions
            return serve("lab", "serve", *listen, "--insecure", "--most-running", "0", "--data", str(tmp_path / "trainings"))
        storage = serve("feedback-server", *listen, "--insecure", "--data", str(tmp_path / "fs"))
        if service == "feedback-server":
            return storage
        return serve("coordinator", *listen, "--insecure", "--feedback-server", storage.url)

    return start


@pytest.mark.parametrize("service", DESCRIPTIONS)
def test_the_published_description_matches_the_code(service):
    assert json.loads((ROOT / f"docs/api/{service}.openapi.json").read_text()) == described(service), (
        f"to update it: swarmscope schema --service {service} > docs/api/{service}.openapi.json"
    )
    for schema in _schemas_in(described(service)):
        jsonschema.Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize("service", DESCRIPTIONS)
def test_a_description_is_made_once_for_any_number_of_clients(service):
    describe = import_module(DESCRIPTIONS[service]).openapi
    assert served(describe) is served(describe)
    assert json.loads(served(describe)) == described(service)


def test_every_figure_of_the_history_is_described():
    described_figures = {path.removeprefix(HISTORY) for path in described("monitor")["paths"] if path.startswith(HISTORY)}
    assert described_figures == {*FIGURES, "status"}


@pytest.mark.parametrize("service", DESCRIPTIONS)
def test_every_answer_to_a_generated_request_is_described(start, service):
    assert _attack(start(service), service, QUICK) > QUICK * 2


@pytest.mark.soak
@pytest.mark.parametrize("service", DESCRIPTIONS)
@pytest.mark.new_interpreter
def test_thousands_of_generated_requests_leave_a_service_unchanged(start, service):
    server = start(service)
    _attack(server, service, QUICK * 5)
    before = _memory_kib(server)
    assert _attack(server, service, LONG) > LONG
    assert _memory_kib(server) - before < GROWTH_KIB


def _attack(server: Server, service: str, examples: int) -> int:
    """Send the requests that Schemathesis generates from the description that the server itself serves; return their number."""
    asked = 0
    with requests.Session() as session:
        description = session.get(f"{server.url}/openapi.json", timeout=30).json()
        assert description == described(service)
        for found in schemathesis.openapi.from_dict(description).get_all_operations():
            operation = found.ok()
            takes = operation.body or operation.query or operation.headers or operation.path_parameters
            for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE) if takes else (GenerationMode.POSITIVE,):

                @settings(
                    max_examples=examples, derandomize=True, database=None, deadline=None, suppress_health_check=[*HealthCheck]
                )
                @given(case=operation.as_strategy(generation_mode=mode))
                def send(case: schemathesis.Case) -> None:
                    nonlocal asked
                    asked += 1
                    answer = case.call(base_url=server.url, session=session, timeout=30)
                    case.validate_response(answer, checks=CHECKS)

                send()
    assert "Traceback" not in server.log_text()
    assert server.process.poll() is None
    return asked


def _memory_kib(server: Server) -> int:
    [line] = [line for line in Path(f"/proc/{server.process.pid}/status").read_text().splitlines() if line.startswith("VmRSS")]
    return int(line.split()[1])


def _schemas_in(described: object) -> list[dict]:
    """Every schema of a description."""
    if isinstance(described, list):
        return [schema for each in described for schema in _schemas_in(each)]
    if not isinstance(described, dict):
        return []
    own = [described["schema"]] if isinstance(described.get("schema"), dict) else []
    return own + [schema for each in described.values() for schema in _schemas_in(each)]
