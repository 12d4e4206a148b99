"""The paths, headers and content types that the processes use among each other."""

from feedback_wire.kinds import RecordKind

FEEDBACK = "/v1/feedback"
MEASUREMENTS = "/v1/measurements"
INFERENCES = "/v1/inferences"
RECORDS = "/v1/records"
LOGS = "/v1/logs"
HEALTH = "/healthz"
READY = "/readyz"
METRICS = "/metrics"
OPENAPI = "/openapi.json"
SUMMARY = "/api/v1/summary"
ANNOTATIONS = "/api/v1/annotations"
TRAININGS = "/v1/trainings"


def training(name: str) -> str:
    """The route of one training. With `/pause`, `/resume` or `/cancel` behind it, POST changes what the training does."""
    return f"{TRAININGS}/{name}"


MESSAGES = {
    RecordKind.FEEDBACK: FEEDBACK,
    RecordKind.MEASUREMENT: MEASUREMENTS,
    RecordKind.INFERENCE: INFERENCES,
}
"""The route of a coordinator that accepts the messages of each kind."""


def records_of(kind: RecordKind) -> str:
    """The route of a feedback server that stores batches of this kind."""
    return RECORDS if kind is RecordKind.FEEDBACK else f"{RECORDS}/{kind}"


def logs_of(kind: RecordKind) -> str:
    """The route of a feedback server that lists the logs of this kind."""
    return LOGS if kind is RecordKind.FEEDBACK else f"{LOGS}/{kind}"


def latest_of(kind: RecordKind) -> str:
    """The route of a feedback server that has the newest log of this kind."""
    return f"{logs_of(kind)}/latest"


BATCH_HEADER = "Swarmscope-Batch"
"""The batch id: 32 hexadecimal digits. A batch that arrives again with the same id is stored once."""

FORGOTTEN_HEADER = "Swarmscope-Forgotten"
"""The number of messages that an end host has dropped from its full buffer since the last accepted batch."""

CLOCK_HEADER = "Swarmscope-Clock"
"""The clock of a feedback server when it answers a request for its catalogue, Unix milliseconds."""

AHEAD_HEADER = "Swarmscope-Records-Ahead"
"""How many milliseconds the times of new records are ahead of this clock, because it was set back."""

JSON = "application/json"
NDJSON = "application/x-ndjson"
PROBLEM = "application/problem+json"
LOG = "application/octet-stream"


def bearer(key: str) -> str:
    """The value of the Authorization header for `key` (RFC 6750 section 2.1)."""
    return f"Bearer {key}"
