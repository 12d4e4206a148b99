"""`swarmscope users`: who may log in at the dashboard. The password is asked for and no argument: `ps` shows those to all."""

import getpass
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from monitor_platform.access import passwords, user_file
from swarmscope.commands import refuse

command = App(
    name="users",
    help_epilogue=(
        "A dashboard that was started with --users FILE sees every change within a second; who is removed is out at once.\n\n"
        "Examples:\n\n"
        "    swarmscope users add alice --file users.txt\n\n"
        "    pass show dashboard | swarmscope users add 王小明 --file users.txt\n\n"
        "    swarmscope users remove alice --file users.txt"
    ),
)
UserFile = Annotated[Path, Parameter(name="--file")]
DEFAULT = Path("users.txt")


@command.command
def add(name: str, /, *, file: UserFile = DEFAULT) -> None:
    """Add a user, or give one a new password; asks for it on the terminal, or takes the first line of standard input.

    Parameters
    ----------
    name
        Name to log in with; any script, without a colon.
    file
        File of users; made if it is not there.
    """
    try:
        name = user_file.checked_name(name)
        secret = passwords.hashed(passwords.checked(_password(name)))
        user_file.read(file) if file.exists() else None
        replaced = user_file.put(file, name, secret)
    except ValueError as error:
        refuse(error)
    print(f"{name} has a new password" if replaced else f"{name} may log in", file=sys.stderr)


@command.command
def remove(name: str, /, *, file: UserFile = DEFAULT) -> None:
    """Take a user out; whoever is logged in under that name is out at once.

    Parameters
    ----------
    name
        Name of the user.
    file
        File of users.
    """
    try:
        removed = user_file.remove(file, user_file.checked_name(name))
    except ValueError as error:
        refuse(error)
    if not removed:
        sys.exit(f"swarmscope: {file} has no user {name}")
    print(f"{name} is out", file=sys.stderr)


@command.command(name="list")
def names(*, file: UserFile = DEFAULT) -> None:
    """Print the names of all users.

    Parameters
    ----------
    file
        File of users.
    """
    try:
        print("\n".join(user_file.read(file)))
    except ValueError as error:
        refuse(error)


def _password(name: str) -> str:
    # Browsers send passwords in UTF-8, so they are read as such, whatever the locale.
    if not sys.stdin.isatty():
        try:
            return sys.stdin.buffer.readline().decode("utf-8-sig").rstrip("\r\n")
        except UnicodeDecodeError:
            raise ValueError("the password on standard input is no text in UTF-8; nothing is changed") from None
    try:
        password = getpass.getpass(f"Password of {name}: ")
        if getpass.getpass("Once more: ") != password:
            raise ValueError("the two were not the same; nothing is changed")
    except UnicodeDecodeError:
        raise ValueError("this locale cannot read that password; pipe it in, or use a UTF-8 locale such as C.UTF-8") from None
    return password
