"""What pip may install: exact versions with their hashes, the same in every lock and in constraints.txt, from no named index."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
LOCKS = sorted((ROOT / "locks").glob("*.txt"))
HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}")
PYTHONS = ("3.11", "3.13")
NOT_IN_ALL = ("overlay-media", "qoe-lab")


def entries(lock: Path) -> list[tuple[Requirement, list[str]]]:
    """The requirements of a lock with the lines of each."""
    lines = lock.read_text().replace("\\\n", "").splitlines()
    return [(Requirement(line.partition(" --hash")[0]), line.split()[1:]) for line in lines if line]


def pins(requirements: list[Requirement], python: str) -> dict[str, str]:
    """The version of each package on Linux with this Python."""
    environment = {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "sys_platform": "linux",
        "platform_machine": "x86_64",
    }
    chosen = [each for each in requirements if each.marker is None or each.marker.evaluate(environment)]
    return {canonicalize_name(each.name): str(each.specifier) for each in chosen}


def constraints() -> list[Requirement]:
    return [Requirement(line) for line in (ROOT / "constraints.txt").read_text().splitlines()]


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_a_lock_names_hashes_of_exact_versions_and_no_index(lock):
    assert "://" not in lock.read_text()
    for requirement, rest in entries(lock):
        assert re.fullmatch(r"==[\w.]+", str(requirement.specifier)), requirement
        assert any(map(HASH.fullmatch, rest)), requirement


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_a_lock_has_the_versions_of_the_constraints(lock, python):
    """If this fails, run `make lock`."""
    locked, pinned = pins([requirement for requirement, _ in entries(lock)], python), pins(constraints(), python)
    assert {name: pinned.get(name) for name in locked} == locked


@pytest.mark.parametrize("python", PYTHONS)
def test_the_locks_contain_the_requirements_of_the_project_and_its_tools(python):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    of_extras = project["project"]["optional-dependencies"]
    extras = [Requirement(each) for name, extra in of_extras.items() if name not in NOT_IN_ALL for each in extra]
    tools = [Requirement(line) for line in (ROOT / "tools/dev-requirements.txt").read_text().splitlines() if line[0] != "-"]
    build = [Requirement(each) for each in project["build-system"]["requires"]]
    for lock, asked in (("all", extras), ("dev", [*extras, *tools, *build]), ("build", build)):
        locked = pins([requirement for requirement, _ in entries(ROOT / f"locks/{lock}.txt")], python)
        wanted = pins(asked, python).keys() - {"swarmscope"}
        assert wanted <= locked.keys()
        assert ("av" in locked) == (lock == "dev")  # its wheels contain software under the GPL, and the image installs all.txt
        ranges = {canonicalize_name(each.name): each.specifier for each in asked}
        assert [name for name in wanted if not ranges[name].contains(locked[name].removeprefix("=="))] == []
