"""The HTTP surface on which the processes meet: paths, headers, content types."""

FEEDBACK = "/v1/feedback"
RECORDS = "/v1/records"
LOGS = "/v1/logs"
LATEST_LOG = "/v1/logs/latest"
HEALTH = "/healthz"
READY = "/readyz"
METRICS = "/metrics"
OPENAPI = "/openapi.json"
SUMMARY = "/api/v1/summary"

BATCH_HEADER = "Swarmscope-Batch"
"""32 hexadecimal digits that name a batch of records; sent again with the same name, it is stored once."""

FORGOTTEN_HEADER = "Swarmscope-Forgotten"
"""How many messages an end host's full buffer has forgotten since the last batch that was accepted."""

JSON = "application/json"
NDJSON = "application/x-ndjson"
PROBLEM = "application/problem+json"
LOG = "application/octet-stream"


def bearer(key: str) -> str:
    """The value of the Authorization header for `key` (RFC 6750 section 2.1)."""
    return f"Bearer {key}"
