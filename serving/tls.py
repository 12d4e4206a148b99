"""TLS from PEM files that an operator can renew while the process runs.

Each `reload` makes new contexts: an existing context can gain authorities, but it cannot lose one. So nothing keeps a context; code
that opens a connection reads `listener` or `link` at that moment.
"""

import logging
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from serving.certificate import validity_warning
from serving.regular_files import check_regular

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPair:
    """A certificate chain and its private key, and the flags that name the two files."""

    flags: str
    cert: Path
    key: Path

    def load_into(self, context: ssl.SSLContext) -> None:
        with _naming(f"{self.flags}-cert {self.cert} and {self.flags}-key {self.key}"):
            check_regular(self.cert)
            check_regular(self.key)
            context.load_cert_chain(self.cert, self.key, password="")  # else OpenSSL may ask for one


def key_pair(flags: str, cert: Path | None, key: Path | None) -> KeyPair | None:
    """The pair that `FLAGS-cert` and `FLAGS-key` name; None without both, ValueError if only one is given."""
    if (cert is None) != (key is None):
        raise ValueError(f"{flags}-cert and {flags}-key belong together: give both, or neither")
    return KeyPair(flags=flags, cert=cert, key=key) if cert is not None and key is not None else None


class ListenerTls:
    """The TLS context of a listening socket. ValueError if a file is missing or unusable."""

    listener: ssl.SSLContext | None
    """None if the socket speaks plain HTTP."""

    def __init__(self, own: KeyPair | None, *, client_ca: Path | None = None) -> None:
        if client_ca is not None and own is None:
            raise ValueError("--tls-client-ca asks clients for certificates, which needs TLS: give --tls-cert and --tls-key")
        self._own, self._client_ca = own, client_ca
        self.reload()

    def reload(self) -> None:
        """Read all files again, for new connections. After a ValueError the former files stay in use."""
        self.listener = self._listener_context()

    def renew(self) -> None:
        """`reload` on SIGHUP: log a file that cannot be used, and every certificate that expires soon or has expired."""
        try:
            self.reload()
        except ValueError as error:
            log.warning("the former certificate stays in use: %s", error)
        self.warn_of_expiry()

    def warn_of_expiry(self) -> None:
        for path in dict.fromkeys(pair.cert for pair in self._presented()):
            if warning := validity_warning(path, time.time()):
                log.warning("%s", warning)

    def _presented(self) -> list[KeyPair]:
        return [self._own] if self._own is not None else []

    def _listener_context(self) -> ssl.SSLContext | None:
        if self._own is None:
            return None
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self._client_ca is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            with _naming(f"--tls-client-ca {self._client_ca}"):
                check_regular(self._client_ca)
                context.load_verify_locations(self._client_ca)
        self._own.load_into(context)
        return context


class Tls(ListenerTls):
    """The contexts of a process that listens and also connects to https servers."""

    link: ssl.SSLContext
    """For connections to servers. Each server's certificate must be valid for the host name in its URL."""

    def __init__(
        self,
        own: KeyPair | None = None,
        *,
        client_ca: Path | None = None,
        ca: Path | None = None,
        presented: KeyPair | None = None,
    ) -> None:
        """`ca` verifies servers (default: the system's authorities); `presented` is for servers that ask for a certificate."""
        self._ca, self._to_servers = ca, presented
        super().__init__(own, client_ca=client_ca)

    def reload(self) -> None:
        self.listener, self.link = self._listener_context(), self._link_context()

    def _presented(self) -> list[KeyPair]:
        return super()._presented() + ([self._to_servers] if self._to_servers is not None else [])

    def _link_context(self) -> ssl.SSLContext:
        with _naming(f"--tls-ca {self._ca}"):
            if self._ca is not None:
                check_regular(self._ca)
            context = ssl.create_default_context(cafile=self._ca)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self._to_servers is not None:
            self._to_servers.load_into(context)
        return context


@contextmanager
def _naming(files: str) -> Iterator[None]:
    try:
        yield
    except ssl.SSLError as error:
        raise ValueError(f"{files} cannot be used: {error.reason or error}; PEM files without a password are needed") from None
    except OSError as error:
        raise ValueError(f"{files} cannot be read: {error.strerror}") from None
