"""Standard input and files that end in `.gz`, as files that DuckDB can read: copies in a temporary folder.

A gzip file of 1 MB may inflate to 1 GB. So a copy ends with an error as soon as it exceeds a limit, and nothing of it is read.
"""

import gzip
import shutil
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol, cast

import zstandard

from feedback_analysis.reading.log_files import BARE, check_file, form_of, open_file
from feedback_analysis.reading.survey import MOST_IN_A_LOG, TIMES
from feedback_wire.frames import HEADER_BYTES, PREAMBLE
from feedback_wire.log_name import Form
from serving.locked_scratch import scratch_folder

STANDARD_INPUT = Path("/dev/stdin")
GZIP = ".gz"

_GZIP_BEGIN = b"\x1f\x8b"
_PARQUET_BEGIN = b"PAR1"
_PIECE_BYTES = 1024 * 1024


class _Source(Protocol):
    def read(self, size: int, /) -> bytes: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Unpacked:
    """The files to read. `given`: the name that the user gave, by the path of each temporary file."""

    paths: list[Path]
    given: Mapping[Path, str]

    def __str__(self) -> str:
        return self.named(", ".join(map(str, self.paths)))

    def named(self, text: str) -> str:
        """A message about the files, with the given names instead of the temporary paths."""
        for copy, name in self.given.items():
            text = text.replace(str(copy), name)
        return text


@contextmanager
def unpacked(paths: Sequence[Path], standard_input: BinaryIO | None) -> Iterator[Unpacked]:
    """`paths`, with temporary files instead of standard input and of files that end in `.gz`, which exist during the context.

    ValueError if one cannot be decompressed, inflates too far, or has the name of no log; NotReadable if it cannot be opened. A
    ValueError of the context gets the given names.
    """
    with ExitStack() as made:
        folder = made.enter_context(scratch_folder()) if any(map(_is_packed, paths)) else None
        read = [
            path if folder is None or not _is_packed(path) else _copy_of(path, folder / str(number), standard_input)
            for number, path in enumerate(paths)
        ]
        names = ("standard input" if path == STANDARD_INPUT else str(path) for path in paths)
        given = {copy: name for copy, path, name in zip(read, paths, names, strict=True) if copy != path}
        files = Unpacked(paths=read, given=given)
        try:
            yield files
        except ValueError as error:
            if (text := files.named(str(error))) == str(error):
                raise
            raise ValueError(text) from error


def _is_packed(path: Path) -> bool:
    return path == STANDARD_INPUT or (path.suffix == GZIP and path.exists() and not path.is_dir())


def _copy_of(path: Path, folder: Path, standard_input: BinaryIO | None) -> Path:
    if path == STANDARD_INPUT:
        if standard_input is None:
            raise ValueError("standard input is closed; give a log, or open it")
        folder.mkdir()
        return _of_standard_input(folder, standard_input)
    form_of(path.with_suffix(""))
    folder.mkdir()
    copy = folder / path.stem
    _gunzip(path, copy, what=str(path))
    return copy


def _of_standard_input(folder: Path, standard_input: BinaryIO) -> Path:
    """Standard input in a file whose name states its form, which its content shows."""
    copy = folder / "standard-input.gz"
    with copy.open("wb") as file:
        shutil.copyfileobj(standard_input, file, _PIECE_BYTES)
    if _begin_of(copy).startswith(_GZIP_BEGIN):
        copy, packed = copy.with_suffix(""), copy
        _gunzip(packed, copy, what="standard input")
        packed.unlink()
    return copy.rename(copy.with_suffix(_suffix(copy)))


def _suffix(path: Path) -> str:
    begin = _begin_of(path)
    if begin.startswith(_PARQUET_BEGIN):
        return f".{Form.PARQUET}"
    if not begin.startswith(PREAMBLE):
        return BARE
    return f".{Form.JSONL if _first_text(path).startswith(b'{') else Form.CSV}"


def _begin_of(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(len(PREAMBLE))


def _first_text(path: Path) -> bytes:
    """The first byte of the text of a framed log; `{` if no frame is whole, because a file of damage can be read in any form."""
    with path.open("rb") as file:
        begin = file.read(len(PREAMBLE) + HEADER_BYTES)
        file.seek(len(begin))
        with zstandard.ZstdDecompressor(max_window_size=2**27).stream_reader(file) as reader:
            try:
                return reader.read(1)
            except zstandard.ZstdError:
                return b"{"


def _gunzip(source: Path, target: Path, *, what: str) -> None:
    """Inflate `source` into `target`; ValueError if it is no gzip, ends too early, or inflates beyond what a log may."""
    allowed = max(MOST_IN_A_LOG, TIMES * check_file(source))
    try:
        with open_file(source) as file, target.open("wb") as copy:
            inflated = cast("_Source", gzip.GzipFile(fileobj=file))
            while piece := inflated.read(_PIECE_BYTES):
                allowed -= len(piece)
                if allowed < 0:
                    raise ValueError(f"{what} inflates further than logs do; decompress it yourself if you trust it")
                copy.write(piece)
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise ValueError(f"{what} cannot be decompressed: {error}") from error
