"""Files with the name of a log that no reader can read, one of each kind. Permissions are not among them: root may read all."""

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


def make_unreadable_logs(folder: Path) -> dict[Path, str]:
    """Put one of each kind into `folder`; return the reason why each cannot be read."""
    paths = {kind: folder / f"20120807T0{number}0000Z-odd-0000.jsonl.zst" for number, kind in enumerate(REASONS)}
    os.mkfifo(paths["pipe"])
    paths["folder"].mkdir()
    os.mknod(paths["socket"], stat.S_IFSOCK | 0o600)
    paths["link to nothing"].symlink_to(folder / "nowhere")
    paths["link to a pipe"].symlink_to(paths["pipe"])
    paths["link to a device"].symlink_to("/dev/zero")
    paths["link to itself"].symlink_to(paths["link to itself"])
    return {paths[kind]: REASONS[kind] for kind in REASONS}
