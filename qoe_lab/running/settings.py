"""The settings of the server of trainings. Without a token, it starts only on a loopback address."""

from dataclasses import dataclass, field
from pathlib import Path

from serving.listening import is_loopback, parse_listen
from serving.tls import ListenerTls, key_pair
from serving.tokens import check_token


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Settings of one server of trainings."""

    listen: str = "127.0.0.1:8050"
    """Address and port to listen on. Port 0 selects a free port."""

    data: Path = Path("trainings")
    """Folder with the folders of the trainings. Created if missing."""

    token: str = field(default="", repr=False)
    """Bearer token that clients send. Required unless --insecure is used."""

    most_running: int = 1
    """Maximum number of trainings that run at the same time. Trainings on one machine disturb each other. 0: none can be
    started."""

    parallel: int | None = None
    """Sessions of a training at the same time. By default one for each processor. A session in a browser is always played alone."""

    contents: Path | None = None
    """Folder with encoded contents (the videos to play), which the server does not change. Without it, the server uses the folder
    named `contents` in --data, and encodes the contents that are missing there."""

    coordinator: str | None = None
    """URL of a coordinator that the sessions report to. Without it, each training has its own."""

    ingest_key: Path | None = None
    """File with the ingest key of --coordinator."""

    tls_cert: Path | None = None
    """PEM file with the certificate chain for HTTPS, read again on SIGHUP. Without it, clients connect over HTTP."""

    tls_key: Path | None = None
    """PEM file with the private key of --tls-cert, read again on SIGHUP."""

    tls_client_ca: Path | None = None
    """PEM file with certificate authorities, read again on SIGHUP. Clients must present a certificate from one of them (mutual
    TLS)."""

    insecure: bool = False
    """Run without a token. Allowed only on a loopback address."""

    def __post_init__(self) -> None:
        host, _ = parse_listen(self.listen)
        check_token("--token", self.token)
        if self.most_running < 0:
            raise ValueError(f"--most-running is {self.most_running}; it needs a whole number of at least 0")
        if self.insecure and self.token:
            raise ValueError("--insecure and --token exclude each other; use only one of them")
        if self.insecure and not is_loopback(host):
            raise ValueError(f"--insecure works on loopback only, and {host} can be reached by others: give --token instead")
        if not self.insecure and not self.token:
            raise ValueError("give --token, or try it with --insecure")
        self.tls()

    def tls(self) -> ListenerTls:
        """ValueError if a file is missing or unusable."""
        return ListenerTls(key_pair("--tls", self.tls_cert, self.tls_key), client_ca=self.tls_client_ca)

    def run_flags(self) -> list[str]:
        """The flags of `swarmscope lab resume` that these settings mean."""
        given = {
            "--parallel": self.parallel,
            "--contents": self.contents,
            "--coordinator": self.coordinator,
            "--ingest-key": self.ingest_key,
        }
        return [text for flag, value in given.items() if value is not None for text in (flag, str(value))]
