"""`swarmscope schema`: the JSON Schema of what end hosts send, or of what lies in the logs."""

import json

from cyclopts import App

from feedback_wire.message import message_schema
from feedback_wire.record import record_schema

command = App(
    name="schema", help_epilogue="Examples:\n\n    swarmscope schema > message.schema.json\n\n    swarmscope schema --record"
)


@command.default
def schema(*, record: bool = False) -> None:
    """Print the JSON Schema of the feedback message.

    Parameters
    ----------
    record
        The log record instead: the message and what the servers add to it.
    """
    print(json.dumps(record_schema() if record else message_schema(), indent=2, ensure_ascii=False))
