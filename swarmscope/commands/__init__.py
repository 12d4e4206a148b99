"""One module a subcommand; each is imported when it is called, so that a missing extra hurts only its own command."""

import errno
import sys
from collections.abc import Callable
from typing import NoReturn, TypeVar

Settings = TypeVar("Settings")

# What was said names a file or a folder that cannot be what it is for. Anything else (a full disk, a port that is taken) is no
# mistake of whoever said it.
_MEANS = {
    errno.ENOENT: "it is not there, and cannot be made there; name another, or make the folder that it belongs into",
    errno.EEXIST: "there is a file where a folder is needed; name another, or remove it",
    errno.ENOTDIR: "there is a file where a folder is needed; name another, or remove it",
    errno.EISDIR: "it is a folder, and a file is needed; name a file",
    errno.EACCES: "this user may not; change its rights, or name another",
    errno.EPERM: "this user may not; change its rights, or name another",
    errno.EROFS: "its disk is read-only; name another",
    errno.ENAMETOOLONG: "its name is too long; name another",
    errno.ELOOP: "it links to itself; name another",
}


def refuse(error: Exception) -> NoReturn:
    """End as after any wrong use: a line that says what is wrong, and 2, as cyclopts does. 1 is for what goes wrong later."""
    print(f"swarmscope: {in_words(error)}", file=sys.stderr)
    sys.exit(2)


def end_over(error: Exception, what: str = "swarmscope") -> NoReturn:
    """End because of `error`: as for a wrong use if that is what it tells of, with 1 if it is the world's affair."""
    print(f"{what}: {in_words(error)}", file=sys.stderr)
    sys.exit(2 if _is_wrong_use(error) else 1)


def in_words(error: BaseException) -> str:
    """The text of `error` without Python's way of telling an OSError, which it may be or may quote."""
    quoted = error.__cause__
    if isinstance(error, OSError) and error.errno:
        name = f"{error.filename}: " if error.filename else ""
        return f"{name}{_MEANS.get(error.errno, error.strerror)}"
    if quoted is not None and str(error) == str(quoted):
        return in_words(quoted)
    if isinstance(quoted, OSError) and quoted.errno:
        return str(error).replace(str(quoted), _MEANS.get(quoted.errno, str(quoted.strerror)))
    return str(error)


def _is_wrong_use(error: BaseException) -> bool:
    if isinstance(error, ValueError):
        return True
    if isinstance(error, OSError):
        return bool(error.filename) and error.errno in _MEANS
    return error.__cause__ is not None and _is_wrong_use(error.__cause__)


def or_defaults(settings: Settings | None, defaults: Callable[[], Settings]) -> Settings:
    """The settings that were given; without a single one cyclopts leaves it to us to make them, and to say why they cannot do."""
    try:
        return settings or defaults()
    except ValueError as error:
        refuse(error)
