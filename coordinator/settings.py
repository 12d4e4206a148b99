"""The settings of a coordinator. Invalid values are refused at the start, with the error and a remedy."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import SplitResult, urlsplit

from coordinator.ingest_keys import read_terms
from feedback_wire.log_name import SERVER_NAME
from serving.forwarded import ProxyHeader, parse_networks
from serving.listening import is_http_url, is_loopback, parse_listen
from serving.tls import Tls, key_pair
from serving.tokens import check_token

PolicyName = Literal["round-robin", "random", "least-pending", "by-peer"]
OverloadPolicy = Literal["refuse", "sample"]
AddressPolicy = Literal["keep", "truncate", "drop"]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The coordinator's settings."""

    feedback_server: tuple[str, ...]
    """URL of a feedback server, such as http://127.0.0.1:8090. Repeat the flag for each server."""

    listen: str = "127.0.0.1:8080"
    """Address and port to listen on. Port 0 selects a free port."""

    name: str = "c1"
    """Name of this coordinator. Each record contains it in the field `via`."""

    policy: PolicyName = "round-robin"
    """How the coordinator chooses a feedback server. round-robin: one server after the other. random: a random server.
    least-pending: the server with the fewest messages that are not stored yet. by-peer: always the same server for an end host, as
    long as this server is available."""

    sample: float = 1.0
    """Share of end hosts whose messages are recorded, above 0 and at most 1. With 0.1, about one of ten end hosts is recorded, and
    its records have the weight 10."""

    ip: AddressPolicy = "truncate"
    """What to record of an end host's IP address: all of it (keep), its /24 or /48 network (truncate), or nothing (drop)."""

    trusted_proxy: tuple[str, ...] = ()
    """Address or network of a reverse proxy, such as 10.0.0.0/8. The coordinator reads --proxy-header only in requests from these
    proxies. Without this flag, it ignores the header. Repeat the flag for each proxy."""

    proxy_header: ProxyHeader = "x-forwarded-for"
    """Header in which the trusted proxies send the end host's IP address. Only this header is read."""

    key: tuple[str, ...] = field(default=(), repr=False)
    """Ingest key that the coordinator accepts from end hosts. Repeat the flag for each key."""

    keys: Path | None = None
    """TOML file with named ingest keys and their limits, read again on SIGHUP. For an example, see docs/coordinator.md. Can be
    combined with --key."""

    token: str = field(default="", repr=False)
    """Token that the coordinator sends to the feedback servers. It must be equal to their --token."""

    metrics_token: str = field(default="", repr=False)
    """Bearer token required for /metrics. Without it, /metrics is available only with --insecure."""

    tls_cert: Path | None = None
    """PEM file with the certificate chain for HTTPS, read again on SIGHUP. Without it, end hosts connect over HTTP."""

    tls_key: Path | None = None
    """PEM file with the private key of --tls-cert, read again on SIGHUP."""

    tls_client_ca: Path | None = None
    """PEM file with certificate authorities, read again on SIGHUP. End hosts must present a certificate from one of them (mutual
    TLS)."""

    tls_ca: Path | None = None
    """PEM file with the certificate authorities for https feedback servers, read again on SIGHUP. Without it, the system's
    authorities are used."""

    tls_client_cert: Path | None = None
    """PEM file with the client certificate for feedback servers that request one (mutual TLS), read again on SIGHUP. Without it,
    --tls-cert is used."""

    tls_client_key: Path | None = None
    """PEM file with the private key of --tls-client-cert, read again on SIGHUP."""

    insecure: bool = False
    """Run without ingest keys and without --token. Allowed only on a loopback address."""

    spool: Path = Path("coordinator-spool")
    """Folder for messages that arrive while no feedback server is available. Created if missing. Only one coordinator can use it at
    a time."""

    spool_max_bytes: int = 1024**3
    """Maximum size of the spool in bytes, for all workers together. When it is full, messages are refused. 0 disables the spool.
    Measurements and inferences each have a spool of their own, with an eighth of this size."""

    quarantine: Path | None = None
    """Folder for invalid messages. The default is the folder `quarantine` inside the --spool folder. Without a spool and without
    this flag, invalid messages are not kept."""

    quarantine_max_bytes: int = 64 * 1024**2
    """Maximum size of the quarantine in bytes, for all workers together. 0 disables the quarantine."""

    in_flight_max_bytes: int = 64 * 1024**2
    """Maximum size in bytes of the messages of one kind that a worker has received but not yet stored durably. Above it, the worker
    refuses messages (see --overload)."""

    connections_max: int = 20_000
    """Maximum number of open connections per worker. The system's limit of open files can make it lower. Above it, the worker
    refuses new connections."""

    overload: OverloadPolicy = "refuse"
    """What a worker does under overload. refuse: refuse the messages of an ingest key that has used its share of
    --in-flight-max-bytes. sample: the same as refuse; in addition, record fewer end hosts as soon as half of these bytes are in
    use (each record contains its weight)."""

    lenient: bool = False
    """Also accept the messages of simple measuring programs at /v1/measurements, and correct them. An example of such a message is
    {"latency": "12.5", "hostname": "a", "timestamp": 1714601608}. The corrections are counted by name."""

    workers: int = 1
    """Number of worker processes. They share the listening socket."""

    def __post_init__(self) -> None:
        _check_servers(self.feedback_server)
        _check_numbers(self)
        parse_networks(self.trusted_proxy)
        if self.proxy_header != "x-forwarded-for" and not self.trusted_proxy:
            raise ValueError(f"--proxy-header {self.proxy_header} needs --trusted-proxy: the network of the proxies that write it")
        if SERVER_NAME.fullmatch(self.name) is None:
            raise ValueError(f"--name {self.name!r} must be 1 to 32 of a-z, 0-9 and inner hyphens, such as c1")
        _check_secrets(self)
        self.tls()

    def tls(self) -> Tls:
        own = key_pair("--tls", self.tls_cert, self.tls_key)
        presented = key_pair("--tls-client", self.tls_client_cert, self.tls_client_key) or own
        return Tls(own, client_ca=self.tls_client_ca, ca=self.tls_ca, presented=presented)

    @property
    def address(self) -> tuple[str, int]:
        return parse_listen(self.listen)

    @property
    def quarantine_folder(self) -> Path | None:
        """Where refused messages are kept; None if they are not."""
        if not self.quarantine_max_bytes:
            return None
        return self.quarantine or (self.spool / "quarantine" if self.spool_max_bytes else None)

    @property
    def servers(self) -> tuple[SplitResult, ...]:
        return tuple(urlsplit(url) for url in self.feedback_server)


def _check_servers(urls: tuple[str, ...]) -> None:
    if not urls:
        raise ValueError("no feedback server: give --feedback-server URL at least once, such as http://127.0.0.1:8090")
    for url in urls:
        parts = urlsplit(url)
        if not is_http_url(url) or parts.query or parts.fragment or parts.username:
            raise ValueError(f"--feedback-server {url!r} must be an http or https URL, such as http://127.0.0.1:8090")
    if len(set(urls)) < len(urls):
        raise ValueError("a --feedback-server is given twice; give each server once")


def _check_numbers(settings: Settings) -> None:
    if not 0 < settings.sample <= 1:
        raise ValueError(f"--sample {settings.sample} must be above 0 and at most 1, such as 0.1 for every tenth end host")
    if settings.workers < 1:
        raise ValueError(f"--workers {settings.workers} must be 1 or more")
    if settings.quarantine_max_bytes < 0:
        raise ValueError("--quarantine-max-bytes must be 0 (keep nothing) or more")
    if settings.spool_max_bytes < 0:
        raise ValueError("--spool-max-bytes must be 0 (no spool) or more")
    if settings.in_flight_max_bytes < 1 or settings.connections_max < 1:
        raise ValueError("--in-flight-max-bytes and --connections-max must be 1 or more")


def _check_secrets(settings: Settings) -> None:
    host, _ = parse_listen(settings.listen)
    if settings.insecure and not is_loopback(host):
        raise ValueError(f"--insecure is for loopback addresses: listen on 127.0.0.1 instead of {host}, or give --key and --token")
    keyed = bool(read_terms(settings.key, settings.keys))
    if not settings.insecure and not (keyed and settings.token):
        raise ValueError(
            "give --key or --keys (for end hosts) and --token (shared with the feedback servers), or try it with --insecure"
        )
    check_token("--token", settings.token)
    check_token("--metrics-token", settings.metrics_token)
