"""Files with the name of a log are whole or verified again; other files are not touched."""

import pytest

from feedback_wire.log_name import Form, LogName
from monitor_platform.retrieval.mirror import Mirror, size

SEALED = LogName.parse("20120807T093000Z-fs1-0000.jsonl.zst")
JOURNAL = SEALED.sealed(Form.JOURNAL)


@pytest.fixture
def mirror(tmp_path) -> Mirror:
    return Mirror(tmp_path)


def test_a_log_gets_its_name_when_it_is_complete_and_its_journal_is_removed(mirror):
    mirror.write(mirror.path(JOURNAL), 0, b"journal")
    mirror.write(mirror.part(SEALED), 0, b"sealed")
    assert mirror.overview("fs1", None)[0] == [JOURNAL], "a part is missing"
    mirror.complete(SEALED)
    assert mirror.overview("fs1", None)[0] == [SEALED]
    assert mirror.path(SEALED).read_bytes() == b"sealed"
    assert not mirror.path(JOURNAL).exists()


def test_a_journal_that_a_crash_left_next_to_its_sealed_log_is_removed(mirror):
    mirror.write(mirror.path(JOURNAL), 0, b"journal")
    mirror.write(mirror.path(SEALED), 0, b"sealed")
    assert mirror.overview("fs1", None)[0] == [SEALED]
    assert not mirror.path(JOURNAL).exists()


def test_writing_replaces_the_bytes_at_and_after_the_position(mirror):
    path = mirror.path(JOURNAL)
    mirror.write(path, 0, b"0123456789")
    mirror.write(path, 4, b"ab")
    assert path.read_bytes() == b"0123ab"
    mirror.cut(path, 2)
    assert (size(path), path.read_bytes()) == (2, b"01")


def test_other_files_are_not_touched(mirror, tmp_path):
    mirror.write(mirror.path(SEALED), 0, b"sealed")
    (tmp_path / "fs1" / "notes.txt").write_text("mine")
    (tmp_path / "fs1" / "20120807T093000Z-fs2-0000.jsonl.zst").write_text("a log of another server")
    (tmp_path / "Not A Server").mkdir()
    assert mirror.servers() == ["fs1"]
    assert mirror.overview("fs1", None)[0] == [SEALED]


def test_a_mirror_has_one_owner_at_a_time(mirror, tmp_path):
    with mirror.owned(), pytest.raises(BlockingIOError, match="another monitoring platform"), Mirror(tmp_path).owned():
        pytest.fail("two owners")
    with mirror.owned():
        pass
