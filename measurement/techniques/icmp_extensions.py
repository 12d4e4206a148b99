"""What routers add to their ICMP errors (RFC 4884): the MPLS labels with which the dropped packet arrived (RFC 4950)."""

import struct

_VERSION = 2
_HEADER = struct.Struct("!BBH")
"""Version (4 bits) and reserved bits, and the checksum, which the kernel verifies."""
_OBJECT = struct.Struct("!HBB")
"""Length of the object with this head, class, type."""
_LABEL_STACK = (1, 1)
_ENTRY = struct.Struct("!I")
"""Label (20 bits), traffic class (3), bottom of stack (1), TTL (8)."""


def mpls_labels(extensions: bytes) -> tuple[int, ...]:
    """The labels in the structure of extensions, the outermost first; empty without any, or if the structure is not valid."""
    if len(extensions) < _HEADER.size or extensions[0] >> 4 != _VERSION:
        return ()
    labels: list[int] = []
    place = _HEADER.size
    while place + _OBJECT.size <= len(extensions):
        size, kind, form = _OBJECT.unpack_from(extensions, place)
        if size < _OBJECT.size or place + size > len(extensions):
            return ()
        if (kind, form) == _LABEL_STACK:
            content = extensions[place + _OBJECT.size : place + size]
            labels += [entry >> 12 for (entry,) in _ENTRY.iter_unpack(content[: len(content) // 4 * 4])]
        place += size
    return tuple(labels)
