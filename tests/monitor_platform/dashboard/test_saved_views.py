"""Saved views: which addresses can be saved, and that each user has the own ones, also after a restart."""

import asyncio

import pytest

from feedback_wire.problem import Problem
from monitor_platform.dashboard.saved_views import MOST_OF_A_USER, SavedViews, view_of

PATHS = frozenset({"/", "/timeline"})


def parsed(name="evening", address="/timeline?isp=HGC&minutes=5", of="mei"):
    return view_of({"name": name, "address": address}, PATHS, of=of)


@pytest.mark.parametrize(
    "address",
    ["timeline", "//evil.example/", "https://evil.example/", "/other", "/\\evil", "/?a\n", "javascript:0", 5, "/?" + "x" * 4_000],
)
def test_only_an_address_of_a_page_can_be_saved(address):
    with pytest.raises(ValueError, match="'address' needs"):
        parsed(address=address)


@pytest.mark.parametrize("name", ["", "  ", "x" * 81, "two\nlines", None])
def test_a_name_is_one_line(name):
    with pytest.raises(ValueError, match="'name' needs"):
        parsed(name=name)


def test_each_user_has_the_own_views_after_a_restart_too(tmp_path):
    async def story():
        views = SavedViews(tmp_path)
        second, first, other = parsed("Night"), parsed("evening"), parsed(of="bo")
        for each in (second, first, other):
            await views.save(each)
        again = SavedViews(tmp_path)
        assert (again.of("mei"), again.of("bo"), again.of("")) == ((first, second), (other,), ())
        changed = parsed("evening", "/")
        await again.save(changed)
        assert again.of("mei") == (changed, second)
        with pytest.raises(Problem, match="no view with this id"):
            await again.remove(other.id, "mei")
        await again.remove(second.id, "mei")
        assert SavedViews(tmp_path).of("mei") == (changed,)

    asyncio.run(story())


def test_the_number_of_views_of_a_user_is_limited(tmp_path):
    views = SavedViews(tmp_path)
    many = tuple(parsed(str(number)) for number in range(MOST_OF_A_USER))
    asyncio.run(views._file.change(lambda _: many))
    with pytest.raises(Problem, match="a user can save 100 views"):
        asyncio.run(views.save(parsed()))
    asyncio.run(views.save(parsed("7", "/")))
    asyncio.run(views.save(parsed(of="bo")))
