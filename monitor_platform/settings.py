"""What an operator can set. Without users, or a proxy that names them, the dashboard is for this machine alone."""

import re
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from urllib.parse import urlsplit

from feedback_analysis.placing import Placing
from feedback_analysis.scoring import Scoring
from serving.forwarded import ProxyHeader, parse_networks
from serving.listening import is_loopback, parse_listen
from serving.tls import KeyPair, key_pair
from serving.tokens import check_token

LEAST_MEMORY_MIB = 512
"""Reading one log takes 32 MiB for each core, and as much as its messages."""

LONGEST_SESSION_HOURS = 24 * 365
_HEADER = re.compile(r"[A-Za-z0-9-]{1,64}", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class Settings(Scoring, Placing):
    """Settings of `swarmscope monitor`; ValueError says what is wrong and what to do."""

    listen: str = "127.0.0.1:8070"
    """Address and port of the dashboard; port 0 takes a free one."""

    users: Path | None = None
    """File of those who may log in, written by `swarmscope users add`; read again as soon as it has changed."""

    session_hours: float = 12.0
    """How long a login lasts."""

    behind_proxy: str = ""
    """Public address of the reverse proxy before the dashboard, such as https://monitor.example.org."""

    trusted_user_header: str = ""
    """Header in which the reverse proxy names the user it has asked, such as X-Forwarded-User; needs --trusted-proxy."""

    trusted_proxy: tuple[str, ...] = ()
    """Address or network of a proxy whose --trusted-user-header and --proxy-header count; may be given several times."""

    proxy_header: ProxyHeader = "x-forwarded-for"
    """Header in which the trusted proxies name the sender; the other two are ignored."""

    tls_cert: Path | None = None
    """Certificate chain (PEM) to serve the dashboard over https; read again on SIGHUP."""

    tls_key: Path | None = None
    """Private key (PEM) of --tls-cert."""

    tls_ca: Path | None = None
    """Certificate authorities (PEM) of https feedback servers, instead of the system's."""

    tls_client_cert: Path | None = None
    """Certificate chain (PEM) to show to feedback servers that ask for one (mutual TLS)."""

    tls_client_key: Path | None = None
    """Private key (PEM) of --tls-client-cert."""

    feedback_server: tuple[str, ...] = ()
    """Feedback server to poll; may be given several times."""

    static: tuple[Path, ...] = ()
    """Show recorded logs (files or folders) instead of polling; may be given several times."""

    poll_seconds: float = 20.0
    """How often to ask each feedback server for what is new, in seconds, from 1."""

    mirror: Path = Path("mirror")
    """Folder for the byte-identical copies of the feedback servers' logs."""

    read_token: str = field(default="", repr=False)
    """Key that the feedback servers ask of whoever downloads logs."""

    insecure: bool = False
    """Poll without a read token; only for trying things out on this machine."""

    period: float = 30.0
    """Reporting period of the end hosts in seconds: who has been silent for longer no longer counts as concurrent."""

    keep_minutes: int = 60
    """Minutes kept in memory and shown live; older ones are read from the mirror when a script asks for them."""

    keep_messages: int = 5_000_000
    """Messages kept in memory at most; of more, the oldest minutes are dropped before --keep-minutes."""

    memory_mib: int = 2048
    """Memory for messages and questions in MiB, from 512; messages take half of it, then the oldest minutes are dropped."""

    budget: tuple[str, ...] = ()
    """Names of a field that are kept apart in memory, FIELD=COUNT such as channel=2000; may be given several times."""

    history: Path | None = None
    """Folder of the history, kept up to date with the mirror or the static files; static pages then show the last minutes only."""

    history_days: int | None = None
    """Days of the history that are kept, whole days of UTC; older ones are dropped. All, unless it is given."""

    alerts: Path | None = None
    """File of rules (TOML): what to watch, and whom to tell; docs/alerts.md."""

    def __post_init__(self) -> None:
        self._check_mode()
        self._check_exposure()
        self._check_access()
        if not 1 <= self.poll_seconds < inf:
            raise ValueError(f"--poll-seconds is {self.poll_seconds:g}; it needs a number of seconds from 1 on, such as 20")
        if not 0 < self.period < inf:
            raise ValueError(f"--period is {self.period:g}; it needs a number of seconds above 0, such as 30")
        if self.keep_minutes < 1:
            raise ValueError(f"--keep-minutes is {self.keep_minutes}; it needs a whole number from 1 on, such as 60")
        if self.keep_messages < 1:
            raise ValueError(f"--keep-messages is {self.keep_messages}; it needs a whole number from 1 on, such as 5000000")
        if self.memory_mib < LEAST_MEMORY_MIB:
            raise ValueError(f"--memory-mib is {self.memory_mib}; it needs a whole number from {LEAST_MEMORY_MIB} on, such as 2048")
        if self.history_days is not None and self.history is None:
            raise ValueError("--history-days is for a history, and none is kept; say where: --history FOLDER")
        if self.history_days is not None and self.history_days < 1:
            raise ValueError(f"--history-days is {self.history_days}; it needs a whole number from 1 on, such as 400")

    @property
    def live(self) -> bool:
        return not self.static

    @property
    def asks_who_comes(self) -> bool:
        return self.users is not None or bool(self.trusted_user_header)

    @property
    def is_https(self) -> bool:
        """Whether browsers see the dashboard under https."""
        return self.tls_cert is not None or urlsplit(self.behind_proxy).scheme == "https"

    def tls_pairs(self) -> tuple[KeyPair | None, KeyPair | None]:
        """What browsers see and what feedback servers see; ValueError if a certificate or a key is missing."""
        own = key_pair("--tls", self.tls_cert, self.tls_key)
        return own, key_pair("--tls-client", self.tls_client_cert, self.tls_client_key)

    @property
    def host(self) -> str:
        return parse_listen(self.listen)[0]

    @property
    def port(self) -> int:
        return parse_listen(self.listen)[1]

    def _check_mode(self) -> None:
        if bool(self.feedback_server) == bool(self.static):
            raise ValueError("give either --feedback-server URL (live) or --static DIR (recorded files), and one of them")
        for address in self.feedback_server:
            if not _is_address(address):
                raise ValueError(f"--feedback-server is {address!r}; it needs an address such as http://127.0.0.1:8090")
        check_token("--read-token", self.read_token)
        if self.live and not self.read_token and not self.insecure:
            raise ValueError(
                "--read-token is missing: give the one that the feedback servers were started with "
                "(SWARMSCOPE_MONITOR_READ_TOKEN keeps it off the command line), or --insecure to try things out on this machine"
            )

    def _check_exposure(self) -> None:
        if self.insecure and not is_loopback(self.host):
            raise ValueError(f"--insecure is for this machine only, and --listen is {self.listen}; listen on 127.0.0.1")
        if self.behind_proxy and not _is_origin(self.behind_proxy):
            raise ValueError(
                f"--behind-proxy is {self.behind_proxy!r}; it needs scheme and host, such as https://monitor.example.org"
            )
        if not self.asks_who_comes and not is_loopback(self.host):
            raise ValueError(
                f"--listen is {self.listen}, which others can reach; say who may see the dashboard: --users FILE (swarmscope users "
                "add NAME makes one), or --trusted-user-header and --trusted-proxy if a reverse proxy asks who comes"
            )
        if self.users is not None and not is_loopback(self.host) and self.tls_cert is None and not self.behind_proxy:
            raise ValueError(
                f"--listen is {self.listen}, and passwords would travel there for all to read: give --tls-cert and --tls-key, or "
                "the public address of the reverse proxy that does it: --behind-proxy https://monitor.example.org"
            )

    def _check_access(self) -> None:
        parse_networks(self.trusted_proxy)
        if self.trusted_user_header and _HEADER.fullmatch(self.trusted_user_header) is None:
            raise ValueError(f"--trusted-user-header is {self.trusted_user_header!r}; it needs a header such as X-Forwarded-User")
        if self.trusted_user_header and not self.trusted_proxy:
            raise ValueError("--trusted-user-header needs --trusted-proxy: the address of the proxy whose word counts")
        if self.proxy_header != "x-forwarded-for" and not self.trusted_proxy:
            raise ValueError(
                f"--proxy-header {self.proxy_header} needs --trusted-proxy: the addresses of the proxies that write it"
            )
        if not 0 < self.session_hours <= LONGEST_SESSION_HOURS:
            raise ValueError(
                f"--session-hours is {self.session_hours:g}; it needs a number above 0, at most {LONGEST_SESSION_HOURS}"
            )
        self.tls_pairs()


def _is_address(text: str) -> bool:
    try:
        url = urlsplit(text)
        return url.scheme in {"http", "https"} and bool(url.hostname) and url.port != 0
    except ValueError:  # a port that is none
        return False


def _is_origin(text: str) -> bool:
    parts = urlsplit(text)
    return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.path in {"", "/"} and not parts.query
