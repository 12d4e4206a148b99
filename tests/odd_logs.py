"""Files that bear the name of a log and cannot be read: the kinds that a reader of a folder may meet. Root can read all of them."""

import os
import stat
from pathlib import Path

REASONS = {
    "pipe": "it is a pipe, and a file is needed",
    "folder": "it is a folder, and a file is needed",
    "socket": "it is a socket, and a file is needed",
    "link to nothing": "it is a link to nothing",
    "link to a pipe": "it is a pipe, and a file is needed",
    "link to a device": "it is a device, and a file is needed",
    "link to itself": "it links to itself",
}


def make_odd_logs(folder: Path) -> dict[Path, str]:
    """Put one of each kind into `folder`; why each cannot be read."""
    each = {kind: folder / f"20120807T0{at}0000Z-odd-0000.jsonl.zst" for at, kind in enumerate(REASONS)}
    os.mkfifo(each["pipe"])
    each["folder"].mkdir()
    os.mknod(each["socket"], stat.S_IFSOCK | 0o600)
    each["link to nothing"].symlink_to(folder / "nowhere")
    each["link to a pipe"].symlink_to(each["pipe"])
    each["link to a device"].symlink_to("/dev/zero")
    each["link to itself"].symlink_to(each["link to itself"])
    return {each[kind]: REASONS[kind] for kind in REASONS}
