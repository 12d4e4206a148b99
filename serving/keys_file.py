"""Files of named keys: TOML with a table [keys.NAME] for each key."""

import tomllib
from hashlib import sha256
from pathlib import Path
from typing import Any

from serving.regular_files import read_regular_text


def keys_tables(file: Path, *, page: str, needs: str) -> dict[str, Any]:
    """The tables of a file by the names of their keys; ValueError, without a secret in it, if the file cannot be used.

    `page` describes the file, and `needs` is what each table needs; both are for the text of the error.
    """
    try:
        content = tomllib.loads(read_regular_text(file))
    except FileNotFoundError:
        raise ValueError(f"--keys {file} does not exist; {page} shows how to write it") from None
    except OSError as error:
        raise ValueError(f"--keys {file} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise ValueError(f"--keys {file} is not TOML: {error}") from None
    tables = content.get("keys")
    if set(content) != {"keys"} or not isinstance(tables, dict) or not tables:
        raise ValueError(f"--keys {file} must hold a table [keys.NAME] with {needs} for each key, and nothing else")
    return tables


def digest(secret: str) -> bytes:
    """SHA-256 of a secret. Servers find secrets by it, so the time of an answer shows nothing about them."""
    return sha256(secret.encode()).digest()
