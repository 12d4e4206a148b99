"""TLS towards coordinators and monitoring platforms, from files that may be renewed while the server runs."""

import logging
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from serving.certificate import concern

log = logging.getLogger(__name__)


class Listener:
    """The context of the listening socket, as the files were when last read; ValueError if one is not what it should be."""

    context: ssl.SSLContext

    def __init__(self, *, cert: Path, key: Path, client_ca: Path | None) -> None:
        self._cert, self._key, self._client_ca = cert, key, client_ca
        self._load()

    def renew(self) -> None:
        """Read all files again, for connections that come from now on; what cannot be used changes nothing."""
        try:
            self._load()
        except ValueError as error:
            log.warning("the former certificate stays in use: %s", error)

    def concern(self, now_s: float) -> str:
        """What is wrong with the certificate's time; empty if nothing is."""
        return concern(self._cert, now_s)

    def _load(self) -> None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        if self._client_ca is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            with _naming(f"--tls-client-ca {self._client_ca}"):
                context.load_verify_locations(self._client_ca)
        with _naming(f"--tls-cert {self._cert} and --tls-key {self._key}"):
            context.load_cert_chain(self._cert, self._key, password="")  # else OpenSSL may ask for one
        self.context = context


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
