"""Saved views: addresses of pages, with filters and time range, that a user has named. Each user sees only their own views.

They are written to a file, so they survive a restart. Without a login, all users of the dashboard share them.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from feedback_wire.problem import Problem
from monitor_platform.note_file import NoteFile

MOST_VIEWS = 10_000
MOST_OF_A_USER = 100
MOST_CHARACTERS = 80
MOST_ADDRESS_CHARACTERS = 4_000


def _new_id() -> str:
    return secrets.token_hex(8)


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedView:
    """The address of a page, from the path on, under the `name` that the user `of` has given it."""

    id: str = field(default_factory=_new_id)
    of: str
    name: str
    address: str


class SavedViews:
    """The saved views in `folder`. ValueError if their file cannot be read."""

    def __init__(self, folder: Path) -> None:
        self._file = NoteFile(folder / "views.json", lambda note: SavedView(**note))

    def of(self, user: str) -> tuple[SavedView, ...]:
        """The views of a user, by name."""
        return tuple(sorted((each for each in self._file.notes if each.of == user), key=lambda each: each.name.casefold()))

    async def save(self, view: SavedView) -> None:
        """Save a view, instead of the user's view of the same name; Problem (400) if there are too many."""

        def change(notes: tuple[SavedView, ...]) -> tuple[SavedView, ...]:
            others = tuple(each for each in notes if (each.of, each.name) != (view.of, view.name))
            if len(others) >= MOST_VIEWS or sum(each.of == view.of for each in others) >= MOST_OF_A_USER:
                raise Problem(400, "too_many_views", f"a user can save {MOST_OF_A_USER} views; remove one")
            return (*others, view)

        await self._file.change(change)

    async def remove(self, view_id: str, user: str) -> SavedView:
        """Remove a view of a user and return it; Problem (404) if the user has none with this id."""
        removed = next((each for each in self.of(user) if each.id == view_id), None)
        if removed is None:
            raise Problem(404, "no_such_view", "you have no view with this id; GET /api/v1/views lists them")
        await self._file.change(lambda notes: tuple(each for each in notes if each.id != view_id))
        return removed


def view_of(body: Mapping[str, Any], paths: frozenset[str], *, of: str) -> SavedView:
    """The view that a request's JSON describes; ValueError for a bad field.

    `name`: 1 to 80 characters. `address`: one of the pages' `paths`, with its parameters.
    """
    if strange := [name for name in body if name not in ("name", "address")]:
        raise ValueError(f"{strange[0][:40]!r} is unknown; choose from name, address")
    name, address = body.get("name"), body.get("address")
    if not isinstance(name, str) or not 1 <= len(name.strip()) <= MOST_CHARACTERS or not name.strip().isprintable():
        raise ValueError(f"'name' needs a line of 1 to {MOST_CHARACTERS} characters, such as \"evening, mobile\"")
    if not isinstance(address, str) or len(address) > MOST_ADDRESS_CHARACTERS or not _is_page(address, paths):
        raise ValueError(
            f"'address' needs the path of a page, such as \"/?isp=HGC\", of at most {MOST_ADDRESS_CHARACTERS:,} characters"
        )
    return SavedView(of=of, name=name.strip(), address=address)


def _is_page(address: str, paths: frozenset[str]) -> bool:
    try:
        parts = urlsplit(address)
    except ValueError:
        return False
    return address.startswith("/") and not parts.netloc and parts.path in paths and address.isprintable() and "\\" not in address
