"""What every capture format gives: one frame with its time, and the errors that a file can have."""

from typing import NamedTuple

new = tuple.__new__
"""Makes a named tuple of a tuple in half the time of its constructor, which matters for millions of frames."""

LARGEST_FRAME_BYTES = 262_144
"""What libpcap writes at most. A larger length in a file is damage."""


class LinkFrame(NamedTuple):
    """A captured frame. `header` has its first bytes; on the wire it had `length`. A tuple, because a capture has millions."""

    time_ns: int
    length: int
    link_type: int
    """A LINKTYPE number of the registry of tcpdump.org."""
    header: bytes


class NotACaptureError(ValueError):
    """The file is no capture that this program reads. The message says what to do."""


class DamagedError(ValueError):
    """The bytes from here on cannot be frames of this file."""
