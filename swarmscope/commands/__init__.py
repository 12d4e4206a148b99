"""One module a subcommand; each is imported when it is called, so that a missing extra hurts only its own command."""

import sys
from collections.abc import Callable
from typing import NoReturn, TypeVar

Settings = TypeVar("Settings")


def refuse(error: Exception) -> NoReturn:
    """End as after any wrong use: a line that says what is wrong, and 2, as cyclopts does. 1 is for what goes wrong later."""
    print(f"swarmscope: {error}", file=sys.stderr)
    sys.exit(2)


def or_defaults(settings: Settings | None, defaults: Callable[[], Settings]) -> Settings:
    """The settings that were given; without a single one cyclopts leaves it to us to make them, and to say why they cannot do."""
    try:
        return settings or defaults()
    except ValueError as error:
        refuse(error)
