"""Hashes addresses with a key of the training, so that tables can be published and equal addresses stay equal.

A hash without a key would hide nothing: there are only 2^32 IPv4 addresses to try.
"""

import os
import secrets
from hashlib import blake2b
from pathlib import Path

from serving.regular_files import read_regular

KEY_FILE = "address-key"
KEY_BYTES = 32


def address_key(training: Path) -> bytes:
    """The key of a training; the first call makes it. ValueError if the file is damaged."""
    path = training / KEY_FILE
    try:
        # Not replaced if it exists: another key would give the same addresses other hashes in the next export.
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        key = read_regular(path)
    else:
        key = secrets.token_bytes(KEY_BYTES)
        with os.fdopen(descriptor, "wb") as file:
            file.write(key)
    if len(key) != KEY_BYTES:
        raise ValueError(f"{path} is damaged; remove it, and addresses get other hashes than in earlier exports")
    return key


def hashed(address: str | None, key: bytes) -> str | None:
    """16 hexadecimal digits for an address; None for an unknown one."""
    return None if address is None else blake2b(address.encode(), key=key, digest_size=8).hexdigest()
