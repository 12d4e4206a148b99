"""Standard input and gzip files are read as logs of the form that their content or name states, within limits."""

import gzip
import io

import pytest

from feedback_analysis.reading import unpacked as module
from feedback_analysis.reading.log_files import form_of
from feedback_analysis.reading.unpacked import STANDARD_INPUT, unpacked
from feedback_wire.log_name import Form
from tests.harness.logs import lines_of, record, write_log

RECORDS = [record(seq=seq) for seq in range(3)]
SEALED = (Form.JSONL, Form.CSV, Form.PARQUET)


@pytest.mark.parametrize("form", SEALED)
@pytest.mark.parametrize("packed", [False, True])
def test_standard_input_gets_the_form_that_its_content_shows(tmp_path, form, packed):
    content = write_log(tmp_path, RECORDS, form).read_bytes()
    with unpacked([STANDARD_INPUT], io.BytesIO(gzip.compress(content) if packed else content)) as files:
        [path] = files.paths
        assert (form_of(path), path.read_bytes()) == (form, content)
        assert files.named(f"damaged: {path}, byte 9") == "damaged: standard input, byte 9"
    assert not path.exists()


@pytest.mark.parametrize("packed", [False, True])
def test_standard_input_without_frames_is_json_lines(packed):
    content = b"".join(lines_of(RECORDS))
    with unpacked([STANDARD_INPUT], io.BytesIO(gzip.compress(content) if packed else content)) as files:
        [path] = files.paths
        assert (form_of(path), path.read_bytes()) == (None, content)


def test_a_gzip_file_keeps_the_name_of_its_log_and_other_paths_stay(tmp_path):
    log = write_log(tmp_path, RECORDS)
    packed = tmp_path / f"{log.name}.gz"
    packed.write_bytes(gzip.compress(log.read_bytes()))
    with unpacked([packed, log, tmp_path], io.BytesIO()) as files:
        path, *others = files.paths
        assert (path.name, path.read_bytes(), others) == (log.name, log.read_bytes(), [log, tmp_path])
        assert files.named(f"not read: {path}: {log}") == f"not read: {packed}: {log}"


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (gzip.compress(bytes(range(256)) * 9)[:-9], "ended before"),
        (b"no gzip", "Not a gzipped file"),
        (gzip.compress(bytes(4_000_000)), "inflates further"),
    ],
)
def test_a_torn_gzip_file_a_file_that_is_not_gzip_and_a_decompression_bomb_are_refused_by_name(
    tmp_path, monkeypatch, content, error
):
    monkeypatch.setattr(module, "MOST_IN_A_LOG", 2_000_000)
    path = tmp_path / "x.jsonl.gz"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"x.jsonl.gz .*{error}"), unpacked([path], io.BytesIO()):
        pass


def test_a_gzip_file_with_the_name_of_no_log_is_refused(tmp_path):
    (tmp_path / "notes.txt.gz").write_bytes(gzip.compress(b"x"))
    with pytest.raises(ValueError, match="is not a log"), unpacked([tmp_path / "notes.txt.gz"], io.BytesIO()):
        pass
