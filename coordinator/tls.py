"""TLS towards end hosts and towards feedback servers, from files that may be renewed while the coordinator runs.

A feedback server that asks who is there (mutual TLS) is shown the certificate for it, or else the one that end hosts see.
"""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


class Tls:
    """The two contexts; ValueError if a file is missing, or is not what it should be."""

    def __init__(
        self,
        *,
        cert: Path | None,
        key: Path | None,
        client_ca: Path | None,
        ca: Path | None,
        client_cert: Path | None = None,
        client_key: Path | None = None,
    ) -> None:
        own = _pair("--tls-cert", cert, "--tls-key", key)
        shown = _pair("--tls-client-cert", client_cert, "--tls-client-key", client_key) or own
        if client_ca is not None and cert is None:
            raise ValueError("--tls-client-ca asks end hosts for certificates, which needs TLS: give --tls-cert and --tls-key")
        self.listener: ssl.SSLContext | None = None
        """Towards end hosts; None if they come without TLS."""
        if cert is not None:
            self.listener = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        if self.listener is not None and client_ca is not None:
            self.listener.verify_mode = ssl.CERT_REQUIRED
            with _naming(f"--tls-client-ca {client_ca}"):
                self.listener.load_verify_locations(client_ca)
        with _naming(f"--tls-ca {ca}"):
            self.link = ssl.create_default_context(cafile=ca)
            """Towards https feedback servers: their certificate must be for the name in the URL, by `ca` or by the system's."""
        uses = ((self.listener, own), (self.link, shown))
        self._uses = [(context, pair) for context, pair in uses if context is not None and pair is not None]
        self.reload()

    def reload(self) -> None:
        """Read certificates and keys again; connections that come from now on see them."""
        for _, pair in self._uses:
            pair.load_into(ssl.create_default_context())  # first: a context that takes a certificate and not its key serves nobody
        for context, pair in self._uses:
            pair.load_into(context)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pair:
    """A certificate and its key, and what the flags for them are called."""

    cert_flag: str
    cert: Path
    key_flag: str
    key: Path

    def load_into(self, context: ssl.SSLContext) -> None:
        with _naming(f"{self.cert_flag} {self.cert} and {self.key_flag} {self.key}"):
            context.load_cert_chain(self.cert, self.key, password="")  # else OpenSSL may ask for one


def _pair(cert_flag: str, cert: Path | None, key_flag: str, key: Path | None) -> _Pair | None:
    if (cert is None) != (key is None):
        raise ValueError(f"{cert_flag} and {key_flag} belong together: give both, or neither")
    return _Pair(cert_flag=cert_flag, cert=cert, key_flag=key_flag, key=key) if cert is not None and key is not None else None


@contextmanager
def _naming(files: str) -> Iterator[None]:
    try:
        yield
    except ssl.SSLError as error:
        raise ValueError(f"{files} cannot be used: {error.reason or error}; PEM files without a password are needed") from None
    except OSError as error:
        raise ValueError(f"{files} cannot be read: {error.strerror}") from None
