"""Location databases made for tests, in the MaxMind DB file format 2.0: any record for any IPv4 network, right or wrong."""

import struct
from collections.abc import Mapping
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

MARKER = b"\xab\xcd\xefMaxMind.com"
_EMPTY = -1


def write_mmdb(path: Path, kind: str, records: Mapping[str, Any]) -> Path:
    """A database of type `kind` with a record for each network, none within another."""
    path.write_bytes(mmdb(kind, records))
    return path


def mmdb(kind: str, records: Mapping[str, Any]) -> bytes:
    data, offsets = b"", {}
    for network, record in records.items():
        offsets[network] = len(data)
        data += encoded(record)
    nodes: list[list[int]] = [[_EMPTY, _EMPTY]]
    leaves: list[tuple[int, int, str]] = []
    for network in records:
        node = 0
        address = IPv4Network(network)
        bits = [int(address.network_address) >> (31 - at) & 1 for at in range(address.prefixlen)]
        for bit in bits[:-1]:
            if nodes[node][bit] == _EMPTY:
                nodes.append([_EMPTY, _EMPTY])
                nodes[node][bit] = len(nodes) - 1
            node = nodes[node][bit]
        leaves.append((node, bits[-1], network))
    count = len(nodes)
    for node, bit, network in leaves:
        nodes[node][bit] = count + 16 + offsets[network]
    tree = b"".join(struct.pack(">II", *(count if child == _EMPTY else child for child in node)) for node in nodes)
    about = {
        "node_count": count,
        "record_size": _uint16(32),
        "ip_version": _uint16(4),
        "database_type": kind,
        "languages": ["en"],
        "binary_format_major_version": _uint16(2),
        "binary_format_minor_version": _uint16(0),
        "build_epoch": _control(9, 4) + struct.pack(">I", 1_700_000_000),
        "description": {"en": "made up"},
    }
    return tree + bytes(16) + data + MARKER + encoded(about)


def encoded(value: Any) -> bytes:
    """The value in the format's data section; `bytes` are written unchanged, for values that no writer would write."""
    match value:
        case bytes():
            return value
        case bool():
            return _control(14, int(value))
        case int() if value < 0:
            return _control(8, 4) + struct.pack(">i", value)
        case int():
            digits = value.to_bytes((value.bit_length() + 7) // 8)
            return _control(6 if len(digits) <= 4 else 9, len(digits)) + digits
        case float():
            return _control(3, 8) + struct.pack(">d", value)
        case str():
            return _control(2, len(value.encode())) + value.encode()
        case list():
            return _control(11, len(value)) + b"".join(map(encoded, value))
        case dict():
            return _control(7, len(value)) + b"".join(encoded(part) for pair in value.items() for part in pair)
    raise TypeError(f"{value!r} has no place in a database")


def _uint16(value: int) -> bytes:
    return _control(5, 2) + struct.pack(">H", value)


def _control(kind: int, size: int) -> bytes:
    """Control byte, extended type and size."""
    if size < 29:
        short, more = size, b""
    elif size < 285:
        short, more = 29, (size - 29).to_bytes(1)
    else:
        short, more = 30, (size - 285).to_bytes(2)
    return bytes([kind << 5 | short]) + more if kind < 8 else bytes([short, kind - 7]) + more
