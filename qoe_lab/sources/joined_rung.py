"""A rung as one file, which the source of an overlay repeats: `swarmscope overlay source --file`."""

from pathlib import Path

from qoe_lab.sources.ladder import DESCRIPTION, Content, EncodedRung, read_content
from serving.regular_files import read_regular

OVERHEAD = 1.25
"""Of MPEG-TS at a constant rate, over the mean rate of the rung."""


def write_overlay_file(contents: Path, content_id: str, rung_name: str, file: Path) -> float:
    """Join the segments of a rung. Returns the rate in kbit/s for `--rate-kbps`. ValueError if there is no such rung."""
    content: Content = read_content(contents / content_id)
    try:
        rung: EncodedRung = content.rung(rung_name)
    except KeyError:
        names = ", ".join(each.name for each in content.rungs)
        raise ValueError(f"{content_id} has no rung {rung_name!r} in its {DESCRIPTION}; use one of {names}") from None
    folder = contents / content_id / rung.name
    parts = [folder / "init.mp4", *(folder / f"{number}.m4s" for number in range(content.segments))]
    file.write_bytes(b"".join(read_regular(part) for part in parts))
    return round(rung.bandwidth_bps * OVERHEAD / 1000, 1)
