"""`swarmscope users`: manage dashboard users. A password is never an argument, because `ps` shows arguments to all users."""

import getpass
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from monitor_platform.access import passwords, user_file
from monitor_platform.access.roles import UserRole
from swarmscope.commands import examples, exit_on_usage_error

command = App(
    name="users",
    help_epilogue=examples(
        "swarmscope users add alice --file users.txt",
        "swarmscope users role alice viewer --file users.txt",
        "swarmscope users list --file users.txt",
        "swarmscope users remove alice --file users.txt",
    ),
)
UserFile = Annotated[Path, Parameter(name="--file")]
DEFAULT = Path("users.txt")


@command.command(
    help_epilogue=examples(
        "swarmscope users add alice --file users.txt",
        "cat password.txt | swarmscope users add 王小明 --role viewer --file users.txt",
    )
)
def add(name: str, /, *, file: UserFile = DEFAULT, role: UserRole | None = None) -> None:
    """Add a user, or change the password of a user.

    On a terminal, the command asks for the password. Otherwise it reads the first line of standard input. A password has 8 to
    1024 characters.

    Parameters
    ----------
    name
        Login name: 1 to 64 characters of any language, without a colon, without # at the start, and without spaces at the ends.
    file
        File with the dashboard's users. Created if missing.
    role
        viewer: sees all pages and keeps own saved views. manager: also makes changes that all users see, such as
        alert rules, silences, measurements and annotations. Without this flag, a new user is a manager, and an existing user keeps
        the role.
    """
    try:
        name = user_file.checked_name(name)
        secret = passwords.hashed(passwords.checked(_password(name)))
        user_file.read(file) if file.exists() else None
        replaced = user_file.put(file, name, secret, role)
    except ValueError as error:
        exit_on_usage_error(error)
    print(f"changed the password of {name}" if replaced else f"added user {name}", file=sys.stderr)


@command.command(name="role", help_epilogue=examples("swarmscope users role alice viewer --file users.txt"))
def set_role(name: str, role: UserRole, /, *, file: UserFile = DEFAULT) -> None:
    """Change the role of a user. It applies to the next request of the user; open pages load again within seconds.

    Parameters
    ----------
    name
        Login name.
    role
        viewer: sees all pages and keeps own saved views. manager: also makes changes that all users see.
    file
        File with the dashboard's users.
    """
    try:
        known = user_file.set_role(file, user_file.checked_name(name), role)
    except ValueError as error:
        exit_on_usage_error(error)
    if not known:
        sys.exit(f"swarmscope: {file} has no user {name}")
    print(f"{name} is a {role}", file=sys.stderr)


@command.command(help_epilogue=examples("swarmscope users remove alice --file users.txt"))
def remove(name: str, /, *, file: UserFile = DEFAULT) -> None:
    """Remove a user. The user is logged out within a second.

    Parameters
    ----------
    name
        Login name.
    file
        File with the dashboard's users.
    """
    try:
        removed = user_file.remove(file, user_file.checked_name(name))
    except ValueError as error:
        exit_on_usage_error(error)
    if not removed:
        sys.exit(f"swarmscope: {file} has no user {name}")
    print(f"removed user {name}", file=sys.stderr)


@command.command(name="list", help_epilogue=examples("swarmscope users list --file users.txt"))
def names(*, file: UserFile = DEFAULT) -> None:
    """Print the login name and the role of each user, with a tab between them.

    Parameters
    ----------
    file
        File with the dashboard's users.
    """
    try:
        for name, account in user_file.read(file).items():
            print(f"{name}\t{account.role}")
    except ValueError as error:
        exit_on_usage_error(error)


def _password(name: str) -> str:
    # Browsers send passwords in UTF-8, so the password is decoded as UTF-8 in every locale.
    if not sys.stdin.isatty():
        try:
            return sys.stdin.buffer.readline().decode("utf-8-sig").rstrip("\r\n")
        except UnicodeDecodeError:
            raise ValueError("the password on standard input is not valid UTF-8; no change was made") from None
    try:
        password = getpass.getpass(f"Password of {name}: ")
        if getpass.getpass("Repeat the password: ") != password:
            raise ValueError("the two passwords differ; no change was made")
    except UnicodeDecodeError:
        raise ValueError(
            "the locale cannot decode this password; use a UTF-8 locale such as C.UTF-8, or pass the password on standard input"
        ) from None
    return password
