"""The settings of a measurement master. Without keys, it starts only on a loopback address."""

from dataclasses import dataclass, field
from pathlib import Path

from endhost_sdk.telemetry_settings import check_key
from measurement.master.keepalive_timers import KeepaliveTimers
from measurement.master.measurement_keys import read_measurement_keys
from measurement.master.measurements_route import measurements_url
from measurement.master.operation_journal import MOST_BYTES, SEGMENT_BYTES
from measurement.master.target_rules import parse_allowed
from serving.forwarded import Network
from serving.listening import is_loopback, parse_listen
from serving.regular_files import read_regular_text
from serving.tls import ListenerTls, key_pair
from serving.tokens import check_token


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Settings of one measurement master."""

    listen: str = "127.0.0.1:8060"
    """Address and port to listen on, for clients and agents. Port 0 selects a free port."""

    data: Path = Path("measurement-data")
    """Folder for finished operations, and for the state that a restart keeps. Created if missing. Only one master can use it at a
    time."""

    keys: Path | None = None
    """TOML file with the keys of requesters, managers and agents, read again on SIGHUP. See docs/measurement-master.md."""

    coordinator: str = ""
    """URL of a coordinator to which the master sends the outcomes, such as https://coordinator.example. Without it, they stay in
    --data."""

    ingest_key: Path | None = None
    """File with the ingest key of --coordinator."""

    most_record_bytes: int = MOST_BYTES
    """Maximum size of the finished operations in --data that the master has not sent to --coordinator. Beyond it, the master
    removes the oldest ones, and counts them."""

    metrics_token: str = field(default="", repr=False)
    """Bearer token required for /metrics. Without it, /metrics is available only with --insecure."""

    tls_cert: Path | None = None
    """PEM file with the certificate chain for HTTPS, read again on SIGHUP. Without it, clients and agents connect over HTTP."""

    tls_key: Path | None = None
    """PEM file with the private key of --tls-cert, read again on SIGHUP."""

    tls_client_ca: Path | None = None
    """PEM file with certificate authorities, read again on SIGHUP. Clients and agents must present a certificate from one of them
    (mutual TLS)."""

    insecure: bool = False
    """Run without keys: every client is a manager. Allowed only on a loopback address."""

    request_every_s: float = 300.0
    """Seconds between two requests of a requester. 0: no limit. Managers have no limit."""

    most_operations: int = 100_000
    """Maximum number of operations in a round of a request: agents times destinations."""

    destination_packets: int = 20_000
    """Packets per minute that all agents together may send to one destination. Applies to managers too."""

    destination_bytes: int = 100_000_000
    """Bytes per minute that all agents together may send to one destination. Applies to managers too."""

    allow_network: tuple[str, ...] = ()
    """Network of private or loopback addresses that agents may measure, such as 10.0.0.0/8 for a lab. Repeat the flag for each."""

    invite_destination: tuple[str, ...] = ()
    """Destination that SIP_INVITE may call, written exactly as in requests, or its address. Repeat the flag for each. Without it,
    SIP_INVITE is refused."""

    keepalive_s: float = 5.0
    """Seconds between two keep-alives of an agent."""

    agent_timer_s: float = 15.0
    """An agent that gets no answer to its keep-alives for this many seconds stops all operations."""

    master_timer_s: float = 20.0
    """The master counts an agent as lost if no keep-alive arrives for this many seconds. Must be longer than --agent-timer-s."""

    reconnect_s: float = 12.0
    """Seconds that an agent waits after it lost its connection, before it connects again. It adds a random time of up to 25 %."""

    def __post_init__(self) -> None:
        host, _ = parse_listen(self.listen)
        self.timers()
        parse_allowed(self.allow_network)
        for flag, value in (
            ("most-operations", self.most_operations),
            ("destination-packets", self.destination_packets),
            ("destination-bytes", self.destination_bytes),
        ):
            if value < 1:
                raise ValueError(f"--{flag} is {value}; it needs a whole number of at least 1")
        if self.most_record_bytes < 4 * SEGMENT_BYTES:
            raise ValueError(f"--most-record-bytes is {self.most_record_bytes}; it needs at least {4 * SEGMENT_BYTES}")
        if self.request_every_s < 0:
            raise ValueError(f"--request-every-s is {self.request_every_s:g}; use 0 (no limit) or more, such as 300")
        check_token("--metrics-token", self.metrics_token)
        self._check_coordinator()
        if self.insecure and not is_loopback(host):
            raise ValueError(f"--insecure works on loopback only, and {host} can be reached by others: give --keys instead")
        if self.insecure and self.keys is not None:
            raise ValueError("--insecure and --keys exclude each other; use only one of them")
        if not self.insecure and self.keys is None:
            raise ValueError("give --keys, a file with the keys of requesters, managers and agents, or try it with --insecure")
        if self.keys is not None:
            read_measurement_keys(self.keys)
        self.tls()

    def _check_coordinator(self) -> None:
        if self.ingest_key is not None and not self.coordinator:
            raise ValueError("--ingest-key is the key of --coordinator: give its URL too")
        if self.coordinator:
            measurements_url(self.coordinator)
            self.read_ingest_key()

    def read_ingest_key(self) -> str:
        """The ingest key of the coordinator; empty without one. ValueError if its file cannot be used."""
        if self.ingest_key is None:
            return ""
        try:
            key = read_regular_text(self.ingest_key).strip()
        except (OSError, UnicodeError) as error:
            raise ValueError(f"--ingest-key {self.ingest_key} cannot be read: {error}") from error
        check_key(key)
        return key

    def timers(self) -> KeepaliveTimers:
        return KeepaliveTimers(
            keepalive_s=self.keepalive_s, agent_s=self.agent_timer_s, master_s=self.master_timer_s, reconnect_s=self.reconnect_s
        )

    def tls(self) -> ListenerTls:
        return ListenerTls(key_pair("--tls", self.tls_cert, self.tls_key), client_ca=self.tls_client_ca)

    @property
    def allowed_networks(self) -> tuple[Network, ...]:
        return parse_allowed(self.allow_network)
