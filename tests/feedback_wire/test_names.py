"""Log names sort by time and match strictly; a catalogue can be encoded and decoded."""

from typing import get_args, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedback_analysis.reading.log_files import PREFERRED
from feedback_server.settings import FORMS, Settings
from feedback_wire.catalogue import Catalogue, LogEntry
from feedback_wire.kinds import RecordKind
from feedback_wire.log_name import SERVER_NAME, Form, LogName

names = st.builds(
    LogName,
    begins_s=st.integers(0, 250_000_000_000),
    server=st.from_regex(SERVER_NAME, fullmatch=True),
    part=st.integers(0, 9999),
    form=st.sampled_from(Form),
    kind=st.sampled_from(RecordKind),
)


@given(names)
def test_a_name_is_read_back_as_it_was_written(name):
    assert LogName.parse(str(name)) == name
    assert str(name).startswith(name.stem + ".")


def test_every_form_has_a_flag_value_and_a_place_among_the_forms_of_a_folder():
    assert {*FORMS.values()} == {*Form} - {Form.JOURNAL}
    assert get_args(get_type_hints(Settings)["format"]) == (*FORMS,)
    assert {*PREFERRED} == {*Form}


@given(names, names)
def test_sorting_log_names_as_text_sorts_them_by_time(one, other):
    if one.begins_s != other.begins_s:
        assert (one.stem < other.stem) == (one.begins_s < other.begins_s)


NO_LOG_NAMES = (
    "",
    "..",
    "../../etc/passwd",
    "20120807T093000Z-fs1-0000.zip",
    "20120807T093000Z-fs1-0000.feedback.journal",
    "20120807T093000Z-fs1-0000.other.journal",
    "20120807T093000Z-FS-0000.journal",
    "20120807T093000Z-fs1-0000.journal\n",
    "20120807T093000Z-fs/1-0000.journal",
    "20121307T093000Z-fs1-0000.journal",
    "20120807T093000Z-fs1-0000.jsonl.zst/..",
    "\u06620120807T093000Z-fs1-0000.journal",
)


@pytest.mark.parametrize("text", NO_LOG_NAMES)
def test_an_invalid_log_name_is_refused_with_an_example(text):
    with pytest.raises(ValueError, match=r"log name|does not match|time data|month|day"):
        LogName.parse(text)


@given(
    st.builds(
        Catalogue,
        server=st.text(),
        logs=st.lists(st.builds(LogEntry, name=names, bytes=st.integers(0), records=st.integers(0))).map(tuple),
    )
)
def test_a_catalogue_is_decoded_as_it_was_encoded(catalogue):
    assert Catalogue.from_json(catalogue.to_json()) == catalogue


@pytest.mark.parametrize("data", [None, [], {}, {"server": "fs1"}, {"server": "fs1", "logs": [{}]}, {"server": 1, "logs": []},
                                  {"server": "fs1", "logs": [{"name": "../x", "bytes": 1, "records": 1}]}])  # fmt: skip
def test_an_invalid_catalogue_is_refused(data):
    with pytest.raises(ValueError, match=r"catalogue|log entry|log name"):
        Catalogue.from_json(data)
