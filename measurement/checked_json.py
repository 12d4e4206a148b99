"""JSON with a checksum, for the state of masters and agents. A damaged digit gives other valid JSON, which only this shows.

    {"crc32":"5a0c3b1e","state":…}

It stays JSON, so any program can read it. JSON that an earlier version wrote has no checksum, and is accepted.
"""

import re
import zlib

_CHECKED = re.compile(rb'\{"crc32":"([0-9a-f]{8})","state":(.*)\}', re.DOTALL)


def checked(state: bytes) -> bytes:
    """The JSON text `state` with its checksum."""
    return b'{"crc32":"%08x","state":%b}' % (zlib.crc32(state), state)


def verified(content: bytes) -> bytes:
    """The state in `content`; ValueError if it is not the one that was written.

    Content without a checksum is returned unchanged. A damaged name of the checksum leaves JSON that has the fields of no state.
    """
    found = _CHECKED.fullmatch(content)
    if found is None:
        return content
    if int(found[1], 16) != zlib.crc32(found[2]):
        raise ValueError("its checksum is wrong")
    return found[2]
