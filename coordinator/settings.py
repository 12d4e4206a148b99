"""What an operator may set. Bad values are refused here, at start, in words that say what to do."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import SplitResult, urlsplit

from coordinator.keys import read_terms
from feedback_wire.log_name import SERVER_NAME
from serving.forwarded import ProxyHeader, parse_networks
from serving.listening import is_loopback, parse_listen
from serving.tls import Tls, key_pair
from serving.tokens import check_token

PolicyName = Literal["round-robin", "random", "least-pending", "by-peer"]
OverloadPolicy = Literal["refuse", "sample"]
AddressPolicy = Literal["keep", "truncate", "drop"]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The coordinator's settings."""

    feedback_server: tuple[str, ...]
    """URL of a feedback server, such as http://127.0.0.1:8090; give the flag once for each."""

    listen: str = "127.0.0.1:8080"
    """Address and port to listen on; port 0 takes a free one."""

    name: str = "c1"
    """This coordinator's name: stands in every record as `via`."""

    policy: PolicyName = "round-robin"
    """How a feedback server is chosen for a message; by-peer keeps an end host's messages on one server."""

    sample: float = 1.0
    """Share of end hosts whose messages are kept, such as 0.1; a kept record's weight says how many it stands for."""

    ip: AddressPolicy = "truncate"
    """What is recorded of an end host's address: all of it, its network (/24, /48), or nothing."""

    trusted_proxy: tuple[str, ...] = ()
    """Network of a proxy that is believed when it names the sender, such as 10.0.0.0/8; give the flag once for each."""

    proxy_header: ProxyHeader = "x-forwarded-for"
    """Header in which the trusted proxies name the sender; the other two are ignored."""

    key: tuple[str, ...] = field(default=(), repr=False)
    """An ingest key that end hosts may send; several may be valid at once."""

    keys: Path | None = None
    """TOML file of named ingest keys with limits, read again on SIGHUP; may be given beside --key."""

    token: str = field(default="", repr=False)
    """The secret shared with the feedback servers."""

    metrics_token: str = field(default="", repr=False)
    """Bearer token that clients of /metrics send; without one, /metrics is open with --insecure only."""

    tls_cert: Path | None = None
    """PEM file with the certificate (and its chain) shown to end hosts, read again on SIGHUP; without it they come by HTTP."""

    tls_key: Path | None = None
    """PEM file with that certificate's private key."""

    tls_client_ca: Path | None = None
    """PEM file of authorities; only who has a certificate by one of them may connect (mutual TLS)."""

    tls_ca: Path | None = None
    """PEM file of the authorities that https feedback servers are verified with; by default the system's."""

    tls_client_cert: Path | None = None
    """PEM file with the certificate shown to feedback servers that ask for one, read again on SIGHUP; by default --tls-cert."""

    tls_client_key: Path | None = None
    """PEM file with that certificate's private key."""

    insecure: bool = False
    """Run without keys and token; only on a loopback address."""

    spool: Path = Path("coordinator-spool")
    """Folder that keeps messages while no feedback server answers; made if it is missing, and used by one coordinator at a time."""

    spool_max_bytes: int = 1024**3
    """The spool refuses more than this, all workers together; 0 for no spool: messages are then refused meanwhile."""

    quarantine: Path | None = None
    """Folder that keeps refused messages; by default `quarantine` within the spool, if there is one."""

    quarantine_max_bytes: int = 64 * 1024**2
    """The quarantine keeps no more than this, all workers together; 0 for none."""

    in_flight_max_bytes: int = 64 * 1024**2
    """A worker holds at most this much that is not durable yet, and refuses more."""

    connections_max: int = 20_000
    """A worker keeps at most so many connections open, or as many as the limit of open files allows, and refuses more."""

    overload: OverloadPolicy = "refuse"
    """From half of that on: go on until it is full, or sample: keep fewer end hosts, whose records say what they stand for."""

    workers: int = 1
    """Processes that share the listening socket."""

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
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment or parts.username:
            raise ValueError(f"--feedback-server {url!r} must be an http or https URL, such as http://127.0.0.1:8090")
    if len(set(urls)) < len(urls):
        raise ValueError("a --feedback-server is named twice; give each server once")


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
        raise ValueError(f"--insecure is for this machine only: listen on 127.0.0.1 instead of {host}, or give --key and --token")
    keyed = bool(read_terms(settings.key, settings.keys))
    if not settings.insecure and not (keyed and settings.token):
        raise ValueError(
            "give --key or --keys (for end hosts) and --token (shared with the feedback servers), or --insecure to try it here"
        )
    check_token("--token", settings.token)
    check_token("--metrics-token", settings.metrics_token)
