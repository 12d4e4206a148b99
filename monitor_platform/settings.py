"""What an operator can set. The dashboard has no login of its own: it listens on this machine, or behind something that has one."""

import ipaddress
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Settings of `swarmscope monitor`; ValueError says what is wrong and what to do."""

    listen: str = "127.0.0.1:8070"
    """Address and port of the dashboard; port 0 takes a free one."""

    behind_proxy: str = ""
    """Public address of the authenticating reverse proxy before the dashboard, such as https://monitor.example.org."""

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

    mos_c1: float = -5.0
    """MOS model: weight of discontinuity."""

    mos_c2: float = 2.0
    """MOS model: base."""

    mos_a: float = 4.0
    """MOS model: what the playback rate can add."""

    mos_lambda: float = 0.0015
    """MOS model: how fast it adds, per kbit/s."""

    mos_calibration: Literal["ceiling", "none"] = "ceiling"
    """MOS model: shift its ceiling to 5 and keep it within 1 to 5, or take the bare equation."""

    geo_city: Path | None = None
    """GeoIP2 or GeoLite2 City database instead of the small one for Hong Kong that is shipped."""

    geo_asn: Path | None = None
    """GeoIP2 or GeoLite2 ASN database instead of the one that is shipped."""

    def __post_init__(self) -> None:
        self._check_mode()
        self._check_exposure()
        if not 1 <= self.poll_seconds < inf:
            raise ValueError(f"--poll-seconds is {self.poll_seconds:g}; it needs a number of seconds from 1 on, such as 20")
        if not 0 < self.period < inf:
            raise ValueError(f"--period is {self.period:g}; it needs a number of seconds above 0, such as 30")
        if self.keep_minutes < 1:
            raise ValueError(f"--keep-minutes is {self.keep_minutes}; it needs a whole number from 1 on, such as 60")

    @property
    def live(self) -> bool:
        return not self.static

    @property
    def host(self) -> str:
        return _host_and_port(self.listen)[0]

    @property
    def port(self) -> int:
        return _host_and_port(self.listen)[1]

    def _check_mode(self) -> None:
        if bool(self.feedback_server) == bool(self.static):
            raise ValueError("give either --feedback-server URL (live) or --static DIR (recorded files), and one of them")
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
        if not self.behind_proxy and not is_loopback(self.host):
            raise ValueError(
                f"--listen is {self.listen}, which others can reach, and the dashboard asks nobody who they are; put a reverse "
                "proxy that does before it and name its public address: --behind-proxy https://monitor.example.org"
            )


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _host_and_port(listen: str) -> tuple[str, int]:
    host, _, port = listen.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise ValueError(f"--listen is {listen!r}; it needs an address and a port, such as 127.0.0.1:8070")
    return host.strip("[]"), int(port)


def _is_origin(text: str) -> bool:
    parts = urlsplit(text)
    return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.path in {"", "/"} and not parts.query
