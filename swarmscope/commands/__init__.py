"""One module per subcommand, imported when the command is called: a missing extra affects only the commands that need it."""

import errno
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn, TypeVar

from swarmscope.output.escaping import plain

Settings = TypeVar("Settings")

# These errors mean that a given path cannot serve its purpose: a usage error. Other errors, such as a full disk or a used port, are
# operational.
_PATH_ERRORS = {
    errno.ENOENT: "no such file or folder; check the path and its parent folder",
    errno.EEXIST: "it is a file, and a folder is needed; remove the file, or use another path",
    errno.ENOTDIR: "it is a file, and a folder is needed; remove the file, or use another path",
    errno.EISDIR: "it is a folder, and a file is needed; use the path of a file",
    errno.EACCES: "permission denied; change its permissions, or use another path",
    errno.EPERM: "permission denied; change its permissions, or use another path",
    errno.EROFS: "its file system is read-only; use another path",
    errno.ENAMETOOLONG: "the name is too long; use a shorter one",
    errno.ELOOP: "it is a symbolic link to itself; use another path",
}

_NO_TEMPORARY_FOLDER = "No usable temporary directory"
"""The beginning of the error of Python's `tempfile`."""


def examples(*commands: str) -> str:
    """`commands` as the "Examples:" of a help page. A line has at most 78 characters, to fit into 80 columns."""
    lines = [line for command in commands for line in command.splitlines()]
    return "Examples:\n\n" + "\n".join(f"    {line}" for line in lines)


def conditions(texts: Sequence[str]) -> dict[str, str]:
    """The conditions of --where, as values by name; ValueError for an invalid one."""
    filters: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise ValueError(f"--where is {text!r}; it needs a name and a value, such as channel=Olympics")
        if name in filters:
            raise ValueError(f"--where contains {name} twice; use each name once")
        filters[name] = value
    return filters


def exit_on_usage_error(error: Exception) -> NoReturn:
    """Print what is wrong in one line and exit with code 2, as cyclopts does for a wrong flag."""
    print(f"swarmscope: {plain(error_text(error))}", file=sys.stderr)
    sys.exit(2)


def exit_on(error: Exception, prefix: str = "swarmscope", *, path_error: int = 2) -> NoReturn:
    """Print `error` after `prefix`, and exit with code 2 for a usage error, 1 for an operational one.

    `path_error` is the code for a path that cannot serve its purpose.
    """
    print(f"{prefix}: {plain(error_text(error))}", file=sys.stderr)
    sys.exit(_exit_code(error, path_error))


def run_server(command: str, run: Callable[[], None], *, path_error: int = 2) -> None:
    """Run a server until it is stopped. If it cannot start or cannot continue, print why, and exit with 2 or 1."""
    from serving.lifecycle import CannotContinue, CannotStart  # imports asyncio, which --help does not need

    try:
        run()
    except CannotStart as error:
        exit_on(error, f"swarmscope {command} cannot start", path_error=path_error)
    except CannotContinue as error:
        print(f"swarmscope {command} cannot continue: {plain(error_text(error))}", file=sys.stderr)
        sys.exit(1)


def error_text(error: BaseException) -> str:
    """The text of `error`. An OSError, also as the cause of `error`, is shown without "[Errno 2]" and with advice."""
    cause = error.__cause__
    if isinstance(error, OSError) and error.errno:
        return _os_error_text(error)
    if cause is not None and str(error) == str(cause):
        return error_text(cause)
    if isinstance(cause, OSError) and cause.errno:
        path = Path(cause.filename or "")
        named = any(str(each) in str(error).replace(str(cause), "") for each in (path, *path.parents) if each.name)
        return str(error).replace(str(cause), _os_error_text(cause, with_path=not named))
    return str(error)


def _os_error_text(error: OSError, *, with_path: bool = True) -> str:
    if error.filename is None:  # not about a path that the user has given
        advice = "; set TMPDIR to a folder that can be written" if _NO_TEMPORARY_FOLDER in str(error) else ""
        return f"{error.strerror}{advice}"
    path = f"{error.filename}: " if error.filename and with_path else ""
    return f"{path}{_PATH_ERRORS.get(error.errno or 0, error.strerror)}"


def _exit_code(error: BaseException, path_error: int) -> int:
    if isinstance(error, ValueError):
        return 2
    if isinstance(error, OSError):
        return path_error if error.filename and error.errno in _PATH_ERRORS else 1
    return 1 if error.__cause__ is None else _exit_code(error.__cause__, path_error)


def or_defaults(settings: Settings | None, defaults: Callable[[], Settings]) -> Settings:
    """`settings`, or the defaults: cyclopts passes None if no setting was given. Errors in the defaults end the command."""
    try:
        return settings or defaults()
    except ValueError as error:
        exit_on_usage_error(error)
