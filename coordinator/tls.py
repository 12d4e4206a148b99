"""TLS towards end hosts and towards feedback servers, from files that may be renewed while the coordinator runs.

A feedback server that asks who is there (mutual TLS) is shown the certificate for it, or else the one that end hosts see.
"""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from serving.certificate import concern


class Tls:
    """The two contexts as the files were when they were last read; ValueError if one is missing, or is not what it should be."""

    listener: ssl.SSLContext | None
    """Towards end hosts; None if they come without TLS."""
    link: ssl.SSLContext
    """Towards https feedback servers: their certificate must be for the name in the URL, by `ca` or by the system's."""

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
        self._own = _pair("--tls-cert", cert, "--tls-key", key)
        self._shown = _pair("--tls-client-cert", client_cert, "--tls-client-key", client_key) or self._own
        if client_ca is not None and cert is None:
            raise ValueError("--tls-client-ca asks end hosts for certificates, which needs TLS: give --tls-cert and --tls-key")
        self._client_ca, self._ca = client_ca, ca
        self.reload()

    def reload(self) -> None:
        """Read all files again; connections that come from now on see them. If one cannot be used, nothing changes."""
        self.listener, self.link = self._towards_end_hosts(), self._towards_feedback_servers()

    def concerns(self, now_s: float) -> list[str]:
        """What is wrong with the times of the certificates that are shown."""
        shown = {pair.cert: None for pair in (self._own, self._shown) if pair is not None}
        return [words for path in shown if (words := concern(path, now_s))]

    def _towards_end_hosts(self) -> ssl.SSLContext | None:
        if self._own is None:
            return None
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        if self._client_ca is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            with _naming(f"--tls-client-ca {self._client_ca}"):
                context.load_verify_locations(self._client_ca)
        self._own.load_into(context)
        return context

    def _towards_feedback_servers(self) -> ssl.SSLContext:
        with _naming(f"--tls-ca {self._ca}"):
            context = ssl.create_default_context(cafile=self._ca)
        if self._shown is not None:
            self._shown.load_into(context)
        return context


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
