"""The memory that this process may use: the machine's, or less in a control group (a container, or a unit of systemd).

The limit of a group can change while the process runs, so it is read again at each call.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_MACHINE = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
_OWN_GROUPS = Path("/proc/self/cgroup")
_GROUPS = Path("/sys/fs/cgroup")


def usable_memory(own_groups: Path = _OWN_GROUPS, groups: Path = _GROUPS) -> int:
    """Bytes of memory. `own_groups` names the groups of this process (cgroups(7)); `groups` is where the groups are mounted."""
    return min([_MACHINE, *_limits(own_groups, groups)])


def _limits(own_groups: Path, groups: Path) -> Iterator[int]:
    """The limits of the process's groups and of the groups above them. Groups without a limit, and unreadable ones, have none."""
    lines: list[str] = []
    with suppress(OSError):
        lines = own_groups.read_text(encoding="utf-8", errors="replace").splitlines()
    for line in lines:
        number, controllers, group = f"{line}::".split(":")[:3]
        if number == "0":
            mount, name = groups, "memory.max"
        elif "memory" in controllers.split(","):
            mount, name = groups / "memory", "memory.limit_in_bytes"
        else:
            continue
        folder = mount / group.lstrip("/")
        for each in (folder, *folder.parents):
            with suppress(OSError, ValueError):  # ValueError: "max"
                yield int((each / name).read_bytes())
            if each == mount:
                break
