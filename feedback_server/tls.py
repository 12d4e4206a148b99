"""TLS towards coordinators and monitoring platforms, from files that may be renewed while the server runs."""

import logging
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

log = logging.getLogger(__name__)


class Listener:
    """The context of the listening socket; ValueError if a file is missing, or is not what it should be."""

    def __init__(self, *, cert: Path, key: Path, client_ca: Path | None) -> None:
        self._cert, self._key = cert, key
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        if client_ca is not None:
            self.context.verify_mode = ssl.CERT_REQUIRED
            with _naming(f"--tls-client-ca {client_ca}"):
                self.context.load_verify_locations(client_ca)
        self._load()

    def renew(self) -> None:
        """Read certificate and key again, for connections that come from now on; what cannot be used changes nothing."""
        try:
            self._load()
        except ValueError as error:
            log.warning("the former certificate stays in use: %s", error)

    def _load(self) -> None:
        with _naming(f"--tls-cert {self._cert} and --tls-key {self._key}"):
            # Into a new context first: one that takes a certificate and then refuses its key would serve nobody.
            for context in (ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), self.context):
                context.load_cert_chain(self._cert, self._key, password="")  # else OpenSSL may ask for one


def listener(*, cert: Path | None, key: Path | None, client_ca: Path | None) -> Listener | None:
    """TLS as the flags ask for it; None without."""
    if cert is not None and key is not None:
        return Listener(cert=cert, key=key, client_ca=client_ca)
    if cert is not None or key is not None:
        raise ValueError("--tls-cert and --tls-key belong together: give both, or neither")
    if client_ca is not None:
        raise ValueError("--tls-client-ca asks those who connect for certificates, which needs TLS: give --tls-cert and --tls-key")
    return None


@contextmanager
def _naming(files: str) -> Iterator[None]:
    try:
        yield
    except ssl.SSLError as error:
        raise ValueError(f"{files} cannot be used: {error.reason or error}; PEM files without a password are needed") from None
    except OSError as error:
        raise ValueError(f"{files} cannot be read: {error.strerror}") from None
