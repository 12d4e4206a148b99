"""The settings of a measurement agent."""

import re
import socket
from dataclasses import dataclass, field
from pathlib import Path

from serving.listening import is_http_url, is_loopback
from serving.tls import Tls, key_pair
from serving.tokens import check_token

_TAG = re.compile(r"([A-Za-z0-9._-]{1,64})=([A-Za-z0-9._-]{1,64})")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Settings of one measurement agent."""

    master: str
    """URL of the master, such as https://master.example:8060."""

    name: str = ""
    """Name of this agent, and of its key in the master's keys file. Without it, the host name is used."""

    key: str = field(default="", repr=False)
    """Key of this agent."""

    tag: tuple[str, ...] = ()
    """NAME=VALUE: where the agent is, such as country=HK or isp=HKBN. Repeat the flag for each."""

    spool: Path = Path("measurement-spool")
    """Folder for outcomes that wait for the master. Created if missing. Only one agent can use it at a time."""

    spool_max: int = 10_000
    """Maximum number of outcomes in the spool. When it is full, the oldest are dropped."""

    source_address: str = ""
    """Address from which the agent measures. Without it, the system chooses it."""

    invite_destination: tuple[str, ...] = ()
    """Destination that SIP_INVITE may call, written exactly as in requests, or its address. Repeat the flag for each. Without it,
    the agent refuses SIP_INVITE."""

    as_table: Path | None = None
    """File with networks and their AS numbers, for BROUTE and for the hops of routes."""

    tls_ca: Path | None = None
    """PEM file with the certificate authorities for an https master. Without it, the system's authorities are used."""

    tls_client_cert: Path | None = None
    """PEM file with the client certificate for a master that requests one (mutual TLS)."""

    tls_client_key: Path | None = None
    """PEM file with the private key of --tls-client-cert."""

    insecure: bool = False
    """Connect without a key, or over http to another machine."""

    def __post_init__(self) -> None:
        if not is_http_url(self.master):
            raise ValueError(f"--master {self.master!r} must be an http or https URL, such as https://master.example:8060")
        if self.name and _NAME.fullmatch(self.name) is None:
            raise ValueError(f"--name {self.name!r} must be 1 to 64 of A-Z, a-z, 0-9, ., _ and -")
        check_token("--key", self.key)
        if self.spool_max < 1:
            raise ValueError(f"--spool-max is {self.spool_max}; it needs a whole number of at least 1")
        self.tags()
        self._check_secrecy()
        if self.master.startswith("https:"):
            self.tls()

    @property
    def agent_name(self) -> str:
        """`name`, or the host name."""
        return self.name or re.sub(r"[^A-Za-z0-9._-]", "-", socket.gethostname())[:64].lstrip("._-") or "agent"

    def tags(self) -> dict[str, str]:
        """The tags; ValueError if one is not NAME=VALUE."""
        tags: dict[str, str] = {}
        for text in self.tag:
            found = _TAG.fullmatch(text)
            if found is None:
                raise ValueError(f"--tag {text!r} must be NAME=VALUE of A-Z, a-z, 0-9, ., _ and -, such as country=HK")
            tags[found[1]] = found[2]
        return tags

    def tls(self) -> Tls:
        return Tls(ca=self.tls_ca, presented=key_pair("--tls-client", self.tls_client_cert, self.tls_client_key))

    def _check_secrecy(self) -> None:
        host = self.master.split("://", 1)[1].split("/")[0].rpartition("@")[2]
        name = host[1:].split("]")[0] if host.startswith("[") else host.split(":")[0]
        if self.insecure or is_loopback(name):
            return
        if not self.key:
            raise ValueError("give --key, the key of this agent in the master's keys file, or try it with --insecure")
        if self.master.startswith("http:"):
            raise ValueError(f"--master {self.master} would send the key unencrypted; use https, or --insecure in a lab")
