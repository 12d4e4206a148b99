"""A log with right checksums may still hold nonsense: that costs only its own records, and they are counted."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from feedback_analysis.geo.locator import Locator
from feedback_analysis.messages.table import FeedbackTable
from feedback_analysis.quality.mos import MosModel
from feedback_wire.catalogue import LogEntry
from feedback_wire.frames import PREAMBLE, footer_frame, records_frame
from feedback_wire.log_name import Form, LogName
from monitor_platform.retrieval.fetch_plan import FetchSealed, MirroredLog
from monitor_platform.retrieval.kind_tables import FeedbackRecords
from monitor_platform.retrieval.mirror import Mirror
from monitor_platform.retrieval.table_loader import Damaged, TableLoader

NAME = LogName.parse("20120807T093000Z-fs1-0000.journal")
NONSENSE = b"this is no zstd frame"


@pytest.fixture
def mirror(tmp_path) -> Mirror:
    return Mirror(tmp_path)


@pytest.fixture
def loader(mirror) -> Iterator[TableLoader]:
    with Locator() as locator, closing(FeedbackTable(locator, MosModel())) as table:
        yield TableLoader(mirror, FeedbackRecords(table))


def nonsense(*, footer: bool) -> bytes:
    frame = records_frame(NONSENSE, number=0, first_record=0, records=9, inflated=99)
    return PREAMBLE + frame + (footer_frame(number=1, records=9) if footer else b"")


@pytest.mark.parametrize("form", [Form.JSONL, Form.CSV])
@pytest.mark.parametrize("take_from", [0, 5])
def test_a_sealed_log_of_nonsense_is_mirrored_and_its_records_are_unreadable(mirror, loader, form, take_from):
    entry = LogEntry(name=NAME.sealed(form), bytes=len(nonsense(footer=True)), records=9)
    mirror.write(mirror.part(entry.name), 0, nonsense(footer=True))
    taken = loader.whole(FetchSealed(entry, take_from), again=False)
    assert taken.counts.records_taken == 0
    assert taken.counts.unreadable_records == 9
    assert mirror.overview("fs1", None)[0] == [entry.name]


def test_a_journal_of_nonsense_is_skipped(mirror, loader):
    data = nonsense(footer=False)
    mirror.write(mirror.path(NAME), 0, data)
    taken = loader.tail(MirroredLog(name=NAME, bytes=0), len(data), again=False)
    assert taken.held == MirroredLog(name=NAME, bytes=len(data), records=9)
    assert taken.counts.unreadable_records == 9


def test_a_parquet_log_of_nonsense_is_fetched_again_once_and_then_mirrored(mirror, loader):
    entry = LogEntry(name=NAME.sealed(Form.PARQUET), bytes=len(NONSENSE), records=9)
    mirror.write(mirror.part(entry.name), 0, NONSENSE)
    with pytest.raises(Damaged):
        loader.whole(FetchSealed(entry, 0), again=False)
    taken = loader.whole(FetchSealed(entry, 0), again=True)
    assert taken.counts.damaged_frames == 1
    assert mirror.path(entry.name).read_bytes() == NONSENSE


def test_a_damaged_stretch_of_a_journal_stops_the_position_and_not_the_records(mirror, loader):
    frame = records_frame(NONSENSE, number=0, first_record=0, records=9, inflated=99)
    data = PREAMBLE + b"?" * 50 + frame
    mirror.write(mirror.path(NAME), 0, data)
    with pytest.raises(Damaged):
        loader.tail(MirroredLog(name=NAME, bytes=0), len(data), again=False)
    taken = loader.tail(MirroredLog(name=NAME, bytes=0), len(data), again=True)
    assert taken.held == MirroredLog(name=NAME, bytes=len(data), records=0, doubtful=True)
    assert taken.counts.damaged_frames == 1
