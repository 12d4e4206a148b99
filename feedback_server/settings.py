"""The settings of a feedback server. Without both tokens, it starts only on a loopback address."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from feedback_wire.log_name import SERVER_NAME, Form
from serving.listening import is_loopback, parse_listen
from serving.lived_time import DAY_S
from serving.tls import ListenerTls, key_pair
from serving.tokens import check_token

FORMS = {"jsonl": Form.JSONL, "csv": Form.CSV, "parquet": Form.PARQUET}


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Settings of one feedback server."""

    listen: str = "127.0.0.1:8090"
    """Address and port to listen on. Port 0 selects a free port."""

    data: Path = Path("feedback-data")
    """Folder for logs. Created if missing. Only one feedback server can use it at a time."""

    name: str = "fs1"
    """Name of this feedback server, part of the name of each log. Must be different for each server."""

    format: Literal["jsonl", "csv", "parquet"] = "jsonl"
    """Form (file format) of sealed logs: JSON lines or CSV (both compressed with zstd), or Parquet."""

    roll_seconds: int = 60
    """Seconds that one log covers, from 1 to 86400."""

    max_log_bytes: int = 64 * 1024 * 1024
    """Maximum compressed size of a log in bytes. A larger log is split into parts. One part of this size must fit into memory."""

    keep_days: int | None = None
    """Age in days at which a sealed log is deleted. The age does not include stops of the server that last more than three days.
    Without this flag, logs are kept."""

    keep_bytes: int | None = None
    """Maximum size of all sealed logs in bytes; the oldest are deleted first. Without it, there is no limit."""

    token: str | None = field(default=None, repr=False)
    """Token that coordinators must send with records."""

    read_token: str | None = field(default=None, repr=False)
    """Token that monitoring platforms must send to list and download logs."""

    metrics_token: str | None = field(default=None, repr=False)
    """Bearer token required for /metrics. The read token is accepted as well."""

    tls_cert: Path | None = None
    """PEM file with the certificate chain for HTTPS, read again on SIGHUP. Without it, clients connect over HTTP."""

    tls_key: Path | None = None
    """PEM file with the private key of --tls-cert, read again on SIGHUP."""

    tls_client_ca: Path | None = None
    """PEM file with certificate authorities, read again on SIGHUP. Clients must present a certificate from one of them (mutual
    TLS)."""

    insecure: bool = False
    """Run without tokens. Allowed only on a loopback address."""

    def __post_init__(self) -> None:
        host, _ = parse_listen(self.listen)
        if SERVER_NAME.fullmatch(self.name) is None:
            raise ValueError(
                f"--name is {self.name!r}, which cannot be part of a file name; use 1 to 32 of a-z, 0-9, inner hyphens, such as fs1"
            )
        if not 1 <= self.roll_seconds <= DAY_S:
            raise ValueError(f"--roll-seconds is {self.roll_seconds}; a log covers 1 to {DAY_S} seconds, 60 is usual")
        for flag, value in (("max-log-bytes", self.max_log_bytes), ("keep-days", self.keep_days), ("keep-bytes", self.keep_bytes)):
            if value is not None and value < 1:
                raise ValueError(f"--{flag} is {value}; it needs a whole number of at least 1")
        self._check_tokens(host)
        self.tls()

    def tls(self) -> ListenerTls:
        return ListenerTls(key_pair("--tls", self.tls_cert, self.tls_key), client_ca=self.tls_client_ca)

    def _check_tokens(self, host: str) -> None:
        for flag, token in (("token", self.token), ("read-token", self.read_token), ("metrics-token", self.metrics_token)):
            check_token(f"--{flag}", token)
        if self.insecure and not is_loopback(host):
            raise ValueError(
                f"--insecure works on loopback only, and {host} can be reached by others: set --token and --read-token instead"
            )
        if not self.insecure and not (self.token and self.read_token):
            raise ValueError(
                "a feedback server needs two tokens: --token (coordinators send it), --read-token (monitoring platforms send it); "
                "set SWARMSCOPE_FEEDBACK_SERVER_TOKEN and SWARMSCOPE_FEEDBACK_SERVER_READ_TOKEN, or try --insecure on 127.0.0.1"
            )
