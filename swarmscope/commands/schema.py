"""`swarmscope schema`: print the JSON Schema of messages or records, or the OpenAPI description of a service."""

import json
from importlib import import_module
from typing import Literal

from cyclopts import App

from feedback_wire.kinds import CONTRACTS, KindName, RecordKind
from feedback_wire.record import record_schema
from serving.openapi import text_of
from swarmscope.commands import examples, exit_on_usage_error
from swarmscope.output.encoding import print_data

command = App(
    name="schema",
    help_epilogue=examples(
        "swarmscope schema > message.schema.json",
        "swarmscope schema --record",
        "swarmscope schema --kind measurement",
        "swarmscope schema --kind inference",
        "swarmscope schema --service coordinator > coordinator.openapi.json",
    ),
)

DESCRIPTIONS = {
    "coordinator": "coordinator.http.openapi",
    "feedback-server": "feedback_server.openapi",
    "lab": "qoe_lab.running.openapi",
    "measurement-master": "measurement.master.openapi",
    "monitor": "monitor_platform.api.openapi",
}
"""The module of each service whose `openapi()` returns its OpenAPI description; imported when it is printed."""


@command.default
def schema(
    *,
    kind: KindName = "feedback",
    record: bool = False,
    service: Literal["coordinator", "feedback-server", "lab", "measurement-master", "monitor"] | None = None,
) -> None:
    """Print the JSON Schema of the feedback message, or what the flag names.

    Parameters
    ----------
    kind
        Kind of the message: feedback of end hosts, measurement for results of active measurement, or inference for what a model
        concluded from packets.
    record
        Print the JSON Schema of the log record: the message and the fields that the servers add.
    service
        Print the OpenAPI 3.1 description of this service, which the service also provides at /openapi.json.
    """
    if record and service is not None:
        exit_on_usage_error(ValueError("--record and --service both print to standard output; use only one of them"))
    print_data()
    if service is not None:
        print(text_of(import_module(DESCRIPTIONS[service]).openapi()), end="")
        return
    message = CONTRACTS[RecordKind(kind)].schema()
    print(json.dumps(record_schema(message) if record else message, indent=2, ensure_ascii=False))
