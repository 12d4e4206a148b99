"""TLS towards end hosts and towards feedback servers, from files that may be renewed while the coordinator runs.

One certificate serves both ways: end hosts see it, and a feedback server that asks who is there (mutual TLS) is shown it too.
"""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Tls:
    """The two contexts; ValueError if a file is missing, or is not what it should be."""

    def __init__(self, *, cert: Path | None, key: Path | None, client_ca: Path | None, ca: Path | None) -> None:
        if (cert is None) != (key is None):
            raise ValueError("--tls-cert and --tls-key belong together: give both, or neither")
        if client_ca is not None and cert is None:
            raise ValueError("--tls-client-ca asks end hosts for certificates, which needs TLS: give --tls-cert and --tls-key")
        self._cert, self._key = cert, key
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
        self.reload()

    def reload(self) -> None:
        """Read certificate and key again; connections that come from now on see them."""
        if self._cert is None:
            return
        with _naming(f"--tls-cert {self._cert} and --tls-key {self._key}"):
            # Into a new context first: one that takes a certificate and then refuses its key would serve nobody.
            for context in (ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), self.listener, self.link):
                if context is not None:
                    context.load_cert_chain(self._cert, self._key, password="")  # else OpenSSL may ask for one


@contextmanager
def _naming(files: str) -> Iterator[None]:
    try:
        yield
    except ssl.SSLError as error:
        raise ValueError(f"{files} cannot be used: {error.reason or error}; PEM files without a password are needed") from None
    except OSError as error:
        raise ValueError(f"{files} cannot be read: {error.strerror}") from None
