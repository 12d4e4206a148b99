"""TLS towards browsers and towards feedback servers, from files that may be renewed while the platform runs.

The two have certificates of their own: browsers want one that the world knows, feedback servers ask for one that they know.
"""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Tls:
    """The two contexts; ValueError if a file is missing, or is not what it should be."""

    def __init__(
        self,
        *,
        cert: Path | None = None,
        key: Path | None = None,
        ca: Path | None = None,
        client_cert: Path | None = None,
        client_key: Path | None = None,
    ) -> None:
        check_pairs(cert=cert, key=key, client_cert=client_cert, client_key=client_key)
        self._served, self._shown = (cert, key), (client_cert, client_key)
        self.listener: ssl.SSLContext | None = None
        """Towards browsers; None if they come without TLS."""
        if cert is not None:
            self.listener = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            self.listener.minimum_version = ssl.TLSVersion.TLSv1_2
        with _naming(f"--tls-ca {ca}"):
            self.link = ssl.create_default_context(cafile=ca)
            """Towards https feedback servers: their certificate must be for the name in the URL, by `ca` or by the system's."""
            self.link.minimum_version = ssl.TLSVersion.TLSv1_2
        self.reload()

    def reload(self) -> None:
        """Read certificates and keys again; connections that come from now on see them. ValueError leaves all as it was."""
        for (cert, key), context, flags in (
            (self._served, self.listener, "--tls-cert {} and --tls-key {}"),
            (self._shown, self.link, "--tls-client-cert {} and --tls-client-key {}"),
        ):
            if cert is None or context is None:
                continue
            with _naming(flags.format(cert, key)):
                # Into a new context first: one that takes a certificate and then refuses its key would serve nobody.
                for each in (ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), context):
                    each.load_cert_chain(cert, key, password="")  # else OpenSSL may ask for one


def check_pairs(*, cert: Path | None, key: Path | None, client_cert: Path | None, client_key: Path | None) -> None:
    """ValueError if a certificate is given without its key, or a key without its certificate."""
    if (cert is None) != (key is None):
        raise ValueError("--tls-cert and --tls-key belong together: give both, or neither")
    if (client_cert is None) != (client_key is None):
        raise ValueError("--tls-client-cert and --tls-client-key belong together: give both, or neither")


@contextmanager
def _naming(files: str) -> Iterator[None]:
    try:
        yield
    except ssl.SSLError as error:
        raise ValueError(f"{files} cannot be used: {error.reason or error}; PEM files without a password are needed") from None
    except OSError as error:
        raise ValueError(f"{files} cannot be read: {error.strerror}") from None
