"""The settings. Without --users or a proxy that authenticates users, the dashboard is only available on this machine."""

import re
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from urllib.parse import urlsplit

from feedback_analysis.location_settings import LocationSettings
from feedback_analysis.score_flags import Scoring
from serving.forwarded import ProxyHeader, parse_networks
from serving.listening import is_http_url, is_loopback, parse_listen
from serving.regular_files import read_regular_text
from serving.tls import KeyPair, key_pair
from serving.tokens import check_token, is_token

LEAST_MEMORY_MIB = 512
"""Reading one log takes 32 MiB for each core, and as much as its messages."""

LONGEST_SESSION_HOURS = 24 * 365
_HEADER = re.compile(r"[A-Za-z0-9-]{1,64}", re.ASCII)
_PUBLIC_PATH = re.compile(r"(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*/?", re.ASCII)
"""Segments that need no encoding and cannot be `.` or `..`."""


@dataclass(frozen=True, kw_only=True)
class Settings(Scoring, LocationSettings):
    """Settings of `swarmscope monitor`; ValueError for an invalid one."""

    listen: str = "127.0.0.1:8070"
    """Address and port of the dashboard. Port 0 selects a free port."""

    users: Path | None = None
    """File with the dashboard's users, created by `swarmscope users add`. Changes take effect without a restart. Without
    it, no login is necessary, unless --trusted-user-header is given."""

    session_hours: float = 12.0
    """Hours after which a user must log in again, above 0 and at most 8760."""

    behind_proxy: str = ""
    """Public URL of the dashboard at the reverse proxy in front of it, such as https://monitor.example.org, or with a path:
    https://example.org/swarmscope. The proxy may keep that path in requests or remove it. The dashboard accepts requests for this
    host name. Notifications of alerts link to this URL. With this flag, --users does not require --tls-cert."""

    trusted_user_header: str = ""
    """Header in which the reverse proxy sends the name of the authenticated user, such as X-Forwarded-User. Requires
    --trusted-proxy."""

    trusted_role_header: str = ""
    """Header in which the reverse proxy sends the role of the user of --trusted-user-header, such as X-Forwarded-Role. A user with
    the value manager is a manager. With any other value, or without the header, the user is a viewer. Without this flag, each user
    of the proxy is a manager. A role in --users has precedence."""

    trusted_proxy: tuple[str, ...] = ()
    """Address or network of a reverse proxy, such as 127.0.0.1 or 10.0.0.0/8. The platform reads --trusted-user-header and
    --proxy-header only in requests from these proxies. Without this flag, it ignores --proxy-header. Repeat the flag for each
    proxy."""

    proxy_header: ProxyHeader = "x-forwarded-for"
    """Header in which the trusted proxies send the sender's IP address. Only this header is read."""

    tls_cert: Path | None = None
    """PEM file with the dashboard's certificate chain for HTTPS, read again on SIGHUP. Without it, browsers connect over HTTP."""

    tls_key: Path | None = None
    """PEM file with the private key of --tls-cert, read again on SIGHUP."""

    tls_ca: Path | None = None
    """PEM file with the certificate authorities for https feedback servers and webhooks, read again on SIGHUP. Without it, the
    system's authorities are used."""

    tls_client_cert: Path | None = None
    """PEM file with the client certificate for feedback servers that request one (mutual TLS), read again on SIGHUP."""

    tls_client_key: Path | None = None
    """PEM file with the private key of --tls-client-cert, read again on SIGHUP."""

    feedback_server: tuple[str, ...] = ()
    """URL of a feedback server to poll, such as http://127.0.0.1:8090. Repeat the flag for each server."""

    static: tuple[Path, ...] = ()
    """Recorded log, or folder of logs, to show instead of live data. Accepts several values. Logs may end in .gz. Write - to
    read one log, in any file format, from standard input."""

    poll_seconds: float = 20.0
    """Seconds between two polls of a feedback server, at least 1."""

    mirror: Path = Path("mirror")
    """Folder for byte-identical copies of the feedback servers' logs, and for what users write (silences, annotations, saved
    views). After a restart, the platform continues from it."""

    read_token: str = field(default="", repr=False)
    """Token for downloading logs: the feedback servers' --read-token."""

    insecure: bool = False
    """Poll without --read-token. Allowed only if --listen is a loopback address."""

    period: float | None = None
    """Seconds between two reports of a session: 30 by default, and with --static the median time between two messages of a session.
    An end host that sends nothing for more than this time is not counted as present."""

    keep_minutes: int = 60
    """Minutes of messages to keep in memory. To show an older time range, the platform reads it from the logs on disk."""

    keep_messages: int = 5_000_000
    """Maximum number of messages in memory. Beyond it, the oldest minutes are removed from memory."""

    memory_mib: int = 2048
    """Memory for messages and queries in MiB, at least 512. When messages fill half of it, the oldest minutes are removed from
    memory."""

    budget: tuple[str, ...] = ()
    """Limit of distinct values of a field in memory, as FIELD=COUNT, such as channel=2000. FIELD is channel, isp, app, platform,
    extra_values (values of one name in extra), extra_names (names in extra) or extra_bytes (bytes of extra in a message). Values
    above the limit become (other). The platform leaves out entries of extra that exceed the limit of extra_names or
    extra_bytes. Repeat the flag for each field."""

    history: Path | None = None
    """Folder of the history (hourly sums). The platform adds logs to it from --mirror or --static. If you also give --static, all
    pages except History begin with the last --keep-minutes of the recorded time."""

    history_days: int | None = None
    """Number of whole UTC days to keep in the history. Without it, all days are kept."""

    lab_url: str = ""
    """URL of the server of trainings (swarmscope lab serve), such as http://127.0.0.1:8050, for the page Trainings."""

    lab_token_file: Path | None = None
    """File with the token of the server of trainings: its --token."""

    alerts: Path | None = None
    """TOML file with alert rules and webhooks. For its format, see docs/alerts.md."""

    measurement_master: str = ""
    """URL of a measurement master, such as https://master.example. Managers can then start measurements on the page Network, and
    alerts can start diagnoses."""

    measurement_key: Path | None = None
    """File with the key of a manager of --measurement-master. Not needed if the master runs with --insecure."""

    def __post_init__(self) -> None:
        self._check_mode()
        self._check_master()
        self._check_exposure()
        self._check_access()
        self._check_lab()
        if not 1 <= self.poll_seconds < inf:
            raise ValueError(f"--poll-seconds is {self.poll_seconds:g}; it needs at least 1 second, such as 20")
        if self.period is not None and not 0 < self.period < inf:
            raise ValueError(f"--period is {self.period:g}; it needs a number of seconds above 0, such as 30")
        if self.keep_minutes < 1:
            raise ValueError(f"--keep-minutes is {self.keep_minutes}; it needs a whole number of at least 1, such as 60")
        if self.keep_messages < 1:
            raise ValueError(f"--keep-messages is {self.keep_messages}; it needs a whole number of at least 1, such as 5000000")
        if self.memory_mib < LEAST_MEMORY_MIB:
            raise ValueError(f"--memory-mib is {self.memory_mib}; it needs at least {LEAST_MEMORY_MIB}, such as 2048")
        if self.history_days is not None and self.history is None:
            raise ValueError("--history-days needs --history FOLDER, which keeps a history")
        if self.history_days is not None and self.history_days < 1:
            raise ValueError(f"--history-days is {self.history_days}; it needs a whole number of at least 1, such as 400")

    @property
    def live(self) -> bool:
        return not self.static

    @property
    def authenticates(self) -> bool:
        return self.users is not None or bool(self.trusted_user_header)

    @property
    def is_https(self) -> bool:
        """Whether browsers use https."""
        return self.tls_cert is not None or urlsplit(self.behind_proxy).scheme == "https"

    @property
    def public_path(self) -> str:
        """The path of `behind_proxy` without a slash at its end; empty for the root."""
        return urlsplit(self.behind_proxy).path.rstrip("/")

    def tls_pairs(self) -> tuple[KeyPair | None, KeyPair | None]:
        """The pairs of certificate and key, for browsers and for feedback servers; ValueError if a file of a pair is missing."""
        own = key_pair("--tls", self.tls_cert, self.tls_key)
        return own, key_pair("--tls-client", self.tls_client_cert, self.tls_client_key)

    @property
    def host(self) -> str:
        return parse_listen(self.listen)[0]

    @property
    def port(self) -> int:
        return parse_listen(self.listen)[1]

    def lab_token(self) -> str:
        """The token in `lab_token_file`; empty without one. OSError or ValueError if the file holds none."""
        if self.lab_token_file is None:
            return ""
        token = read_regular_text(self.lab_token_file).strip()
        if not is_token(token):
            raise ValueError(f"--lab-token-file {self.lab_token_file} needs one line with the token of the server of trainings")
        return token

    def _check_lab(self) -> None:
        if self.lab_url and not is_http_url(self.lab_url):
            raise ValueError(f"--lab-url is {self.lab_url!r}; it needs an address such as http://127.0.0.1:8050")
        if self.lab_token_file is not None and not self.lab_url:
            raise ValueError("--lab-token-file needs --lab-url: the address of the server of trainings")

    def _check_mode(self) -> None:
        if bool(self.feedback_server) == bool(self.static):
            raise ValueError("give either --feedback-server URL (live) or --static PATH (recorded logs), not both")
        for address in self.feedback_server:
            if not is_http_url(address):
                raise ValueError(f"--feedback-server is {address!r}; it needs an address such as http://127.0.0.1:8090")
        check_token("--read-token", self.read_token)
        if self.live and not self.read_token and not self.insecure:
            raise ValueError(
                "--read-token is missing: give the one that the feedback servers were started with "
                "(SWARMSCOPE_MONITOR_READ_TOKEN keeps it off the command line), or --insecure for a trial on this machine"
            )

    def _check_master(self) -> None:
        if self.measurement_master and not is_http_url(self.measurement_master):
            raise ValueError(
                f"--measurement-master is {self.measurement_master!r}; it needs an address such as http://127.0.0.1:8060"
            )
        if self.measurement_master and not self.live:
            raise ValueError("--measurement-master works only with --feedback-server: recorded files cannot get new outcomes")
        if self.measurement_key is not None and not self.measurement_master:
            raise ValueError("--measurement-key is the key of --measurement-master: give its URL too")
        self.read_measurement_key()

    def read_measurement_key(self) -> str:
        """The key of the measurement master; empty without one. ValueError if its file cannot be used."""
        if self.measurement_key is None:
            return ""
        try:
            key = read_regular_text(self.measurement_key).strip()
        except (OSError, UnicodeError) as error:
            raise ValueError(f"--measurement-key {self.measurement_key} cannot be read: {error}") from error
        check_token("--measurement-key", key)
        return key

    def _check_exposure(self) -> None:
        if self.insecure and not is_loopback(self.host):
            raise ValueError(f"--insecure works only on a loopback address, and --listen is {self.listen}; listen on 127.0.0.1")
        if self.behind_proxy and not _is_public_url(self.behind_proxy):
            raise ValueError(
                f"--behind-proxy is {self.behind_proxy!r}; it needs scheme and host, such as https://monitor.example.org, and the "
                "path if the proxy publishes the dashboard under one: https://example.org/swarmscope"
            )
        if not self.authenticates and not is_loopback(self.host):
            raise ValueError(
                f"--listen is {self.listen}, which other machines can reach; the dashboard needs --users FILE (swarmscope users "
                "add NAME makes one), or --trusted-user-header and --trusted-proxy if a reverse proxy authenticates users"
            )
        if self.users is not None and not is_loopback(self.host) and self.tls_cert is None and not self.behind_proxy:
            raise ValueError(
                f"--listen is {self.listen}, where passwords would be sent without encryption: give --tls-cert and --tls-key, or "
                "the public address of a reverse proxy with TLS: --behind-proxy https://monitor.example.org"
            )

    def _check_access(self) -> None:
        parse_networks(self.trusted_proxy)
        if self.trusted_user_header and _HEADER.fullmatch(self.trusted_user_header) is None:
            raise ValueError(f"--trusted-user-header is {self.trusted_user_header!r}; it needs a header such as X-Forwarded-User")
        if self.trusted_role_header and _HEADER.fullmatch(self.trusted_role_header) is None:
            raise ValueError(f"--trusted-role-header is {self.trusted_role_header!r}; it needs a header such as X-Forwarded-Role")
        if self.trusted_role_header and not self.trusted_user_header:
            raise ValueError("--trusted-role-header needs --trusted-user-header: the header that names the user")
        if self.trusted_user_header and not self.trusted_proxy:
            raise ValueError("--trusted-user-header needs --trusted-proxy: the address of the proxy that sets the header")
        if self.proxy_header != "x-forwarded-for" and not self.trusted_proxy:
            raise ValueError(
                f"--proxy-header {self.proxy_header} needs --trusted-proxy: the addresses of the proxies that write it"
            )
        if not 0 < self.session_hours <= LONGEST_SESSION_HOURS:
            raise ValueError(
                f"--session-hours is {self.session_hours:g}; it needs a number above 0, at most {LONGEST_SESSION_HOURS}"
            )
        self.tls_pairs()


def _is_public_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    named = parts.scheme in {"http", "https"} and bool(parts.hostname) and not parts.query and not parts.fragment
    return named and _PUBLIC_PATH.fullmatch(parts.path) is not None
