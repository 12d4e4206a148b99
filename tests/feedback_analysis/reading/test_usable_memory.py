"""The limit of memory of a control group (container, unit of systemd) counts as the machine's memory, and is read again."""

import errno
import os
from pathlib import Path

import pytest

from feedback_analysis.reading import verified_log
from feedback_analysis.reading.log_files import NotReadable
from feedback_analysis.reading.usable_memory import usable_memory

MIB = 1024 * 1024
MACHINE = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


@pytest.mark.parametrize(
    ("own_groups", "limits", "expected"),
    [
        ("0::/system.slice/analyze.service\n", {"system.slice/analyze.service/memory.max": f"{90 * MIB}\n"}, 90 * MIB),
        ("0::/a/b\n", {"a/memory.max": f"{70 * MIB}\n", "a/b/memory.max": "max\n", "memory.max": "max\n"}, 70 * MIB),
        ("0::/\n", {"memory.max": f"{50 * MIB}\n"}, 50 * MIB),
        ("5:cpu:/x\n4:memory:/x\n0::/\n", {"memory/x/memory.limit_in_bytes": f"{30 * MIB}\n"}, 30 * MIB),
        ("4:memory:/\n", {"memory/memory.limit_in_bytes": "9223372036854771712\n"}, MACHINE),
        ("0::/gone\n", {}, MACHINE),
        ("no group\n", {"memory.max": "1"}, MACHINE),
    ],
)
def test_the_lowest_limit_of_the_groups_of_a_process_counts(tmp_path, own_groups, limits, expected):
    (tmp_path / "cgroup").write_text(own_groups)
    for name, text in limits.items():
        path = tmp_path / "groups" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert usable_memory(tmp_path / "cgroup", tmp_path / "groups") == expected


def test_without_control_groups_the_machines_memory_counts(tmp_path):
    assert usable_memory(tmp_path / "missing", tmp_path) == MACHINE
    assert 0 < usable_memory() <= MACHINE


def test_a_limit_lowered_while_the_process_runs_counts_for_the_next_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    limits = iter([400 * MIB, 100 * MIB])
    monkeypatch.setattr(verified_log, "usable_memory", lambda: next(limits))
    log = tmp_path / "20120807T093000Z-fs1-0000.jsonl.zst"
    with log.open("wb") as file:
        file.truncate(100 * MIB)
    assert len(verified_log._bytes_from(log, 100 * MIB - 1)) == 1
    with pytest.raises(NotReadable, match="more than half of the memory that this process may use") as refused:
        verified_log._bytes_from(log, 100 * MIB - 1)
    assert refused.value.errno == errno.EFBIG
