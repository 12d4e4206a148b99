"""The settings of a client, and the error that ends it."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from serving.listening import is_http_url

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


class CannotPlayError(Exception):
    """The client cannot play: the text says why. It becomes the `error` event of the session."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientSettings:
    """One session. `coordinator`: where it reports; None: nowhere."""

    client: str
    url: str
    seconds: float
    events: Path
    session_id: str
    content_id: str
    training_id: str | None = None
    coordinator: str | None = None
    key: str | None = field(default=None, repr=False)
    period_s: float = 5.0
    """Seconds between two reports: a session of the lab is much shorter than one of a viewer."""

    node: str = ""
    """The name of the player in the overlay."""
    node_key: Path | None = None
    node_host: str = "127.0.0.1"

    def __post_init__(self) -> None:
        if self.client == "overlay":
            self._check_overlay()
        elif not is_http_url(self.url):
            raise ValueError(
                f"--url is {self.url!r}; use the address of a playlist, such as http://10.0.0.1:8000/nature/hls/master.m3u8"
            )
        if not 1 <= self.seconds <= 86_400:
            raise ValueError(f"--seconds is {self.seconds:g}; use 1 to 86400")
        if not _ID.fullmatch(self.session_id):
            raise ValueError(f"--session-id is {self.session_id!r}; use letters, digits, '.', '-' and '_', at most 128")

    def _check_overlay(self) -> None:
        address = urlsplit(self.url)
        if address.scheme != "overlay" or not address.port or not address.path.strip("/"):
            raise ValueError(f"--url is {self.url!r}; for the overlay use overlay://BOOTSTRAPPER:PORT/STREAM")
        if not self.node or self.node_key is None:
            raise ValueError("the client overlay needs --node and --node-key: its name in the overlay, and the file with its key")
