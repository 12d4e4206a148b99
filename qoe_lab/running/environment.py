"""Where a training was made: what a reader of the data must know to compare it with other data."""

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from netlab import Offer

ALLOWED = Path("/proc/sys/net/ipv4/tcp_available_congestion_control")


def environment(congestion_control: str, offer: Offer) -> dict[str, Any]:
    """Version, revision, host, kernel, and how links are shaped here."""
    return {
        "version": _version(),
        "revision": _revision(),
        "host": platform.node(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "processors": os.cpu_count(),
        "congestion_control": congestion_control,
        "congestion_controls": ALLOWED.read_text(encoding="ascii").split() if ALLOWED.exists() else [],
        "queue_discipline": "netem" if offer.netem is None else "tbf",
        "delay_by": "netem" if offer.netem is None else "a process that holds the frames",
    }


def _version() -> str | None:
    try:
        return version("swarmscope")
    except PackageNotFoundError:  # it runs from a folder that was not installed
        return None


def _revision() -> str | None:
    """The git revision, if the code runs from a working copy."""
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        return None
    try:
        command = ["git", "-C", str(root), "rev-parse", "HEAD"]
        found = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 - no shell
    except (OSError, subprocess.CalledProcessError):
        return None
    return found.stdout.strip()
