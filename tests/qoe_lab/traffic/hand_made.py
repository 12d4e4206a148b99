"""Captures made by hand: every byte of a packet is written here, so that a test knows what must be counted."""

import ipaddress
import struct
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from qoe_lab.traffic import Flow, FlowTable, Packet, PacketStream

CLIENT, SERVER = "10.0.0.2", "10.0.0.1"
CLIENT_PORT, SERVER_PORT = 40000, 80
FLAGS = {"F": 1, "S": 2, "R": 4, "P": 8, "A": 16}
BEGIN_NS = 1_700_000_000_000_000_000
MS = 1_000_000
ETHERNET = 1


class Frame(NamedTuple):
    time_ns: int
    data: bytes
    length: int | None = None
    """On the wire; None: all of `data`."""


def mss(size: int) -> bytes:
    return struct.pack("!BBH", 2, 4, size)


def window_scale(exponent: int) -> bytes:
    return struct.pack("!BBBB", 1, 3, 3, exponent)


def timestamps(value: int = 1, echo: int = 1) -> bytes:
    return struct.pack("!BBBBII", 1, 1, 8, 10, value, echo)


def sack(*blocks: tuple[int, int]) -> bytes:
    return b"\x01\x01" + bytes([5, 2 + 8 * len(blocks)]) + b"".join(struct.pack("!II", *block) for block in blocks)


SACK_PERMITTED = b"\x01\x01\x04\x02"


def tcp(source_port: int, port: int, seq: int, ack: int, flags: str, window: int, payload: int, options: bytes = b"") -> bytes:
    assert len(options) % 4 == 0
    size = 20 + len(options)
    bits = sum(FLAGS[flag] for flag in flags)
    return struct.pack("!HHIIBBHHH", source_port, port, seq, ack, size // 4 << 4, bits, window, 0, 0) + options + bytes(payload)


def udp(source_port: int, port: int, payload: int) -> bytes:
    return struct.pack("!HHHH", source_port, port, 8 + payload, 0) + bytes(payload)


def ipv4(
    data: bytes, source: str = CLIENT, destination: str = SERVER, *, protocol: int = 6, ttl: int = 64, ip_id: int = 0,
    options: bytes = b"", offset: int = 0, more: bool = False,
) -> bytes:  # fmt: skip
    size = 20 + len(options)
    addresses = ipaddress.ip_address(source).packed + ipaddress.ip_address(destination).packed
    fragment = offset // 8 | more << 13
    head = struct.pack("!BBHHHBBH", 0x40 | size // 4, 0, size + len(data), ip_id, fragment, ttl, protocol, 0)
    return head + addresses + options + data


def ipv6(data: bytes, source: str = "fd00::2", destination: str = "fd00::1", *, following: int = 6, hop_limit: int = 64) -> bytes:
    addresses = ipaddress.ip_address(source).packed + ipaddress.ip_address(destination).packed
    return struct.pack("!IHBB", 6 << 28, len(data), following, hop_limit) + addresses + data


def ethernet(packet: bytes, *, vlans: Sequence[int] = (), kind: int | None = None) -> bytes:
    if kind is None:
        kind = 0x0800 if packet[0] >> 4 == 4 else 0x86DD
    tags = b"".join(struct.pack("!HH", tag, 7) for tag in vlans)
    return bytes(12) + tags + struct.pack("!H", kind) + packet


def pcap(
    frames: Iterable[Frame], *, order: str = "<", nanoseconds: bool = True, link: int = ETHERNET, snaplen: int = 65535
) -> bytes:
    magic, unit = (0xA1B23C4D, 1) if nanoseconds else (0xA1B2C3D4, 1000)
    file = struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, snaplen, link)
    for time_ns, data, length in frames:
        seconds, rest = divmod(time_ns, 10**9)
        kept = data[:snaplen]
        file += struct.pack(order + "IIII", seconds, rest // unit, len(kept), len(data) if length is None else length) + kept
    return file


def block(kind: int, body: bytes, order: str = "<") -> bytes:
    """A block of pcapng."""
    body += bytes(-len(body) % 4)
    size = struct.pack(order + "I", 12 + len(body))
    return struct.pack(order + "I", kind) + size + body + size


def section(order: str = "<") -> bytes:
    return block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1), order)


def interface(order: str = "<", *, link: int = ETHERNET, resolution: int | None = None, offset_s: int | None = None) -> bytes:
    options = b"" if resolution is None else struct.pack(order + "HHB3x", 9, 1, resolution)
    options += b"" if offset_s is None else struct.pack(order + "HHq", 14, 8, offset_s)
    return block(1, struct.pack(order + "HHI", link, 0, 0) + options, order)


def enhanced(time: int, data: bytes, order: str = "<", *, number: int = 0) -> bytes:
    """An enhanced packet block. `time` is in the unit of the interface."""
    return block(6, struct.pack(order + "IIIII", number, time >> 32, time & 0xFFFFFFFF, len(data), len(data)) + data, order)


def packets_of(capture: bytes) -> list[Packet]:
    stream = PacketStream()
    packets = list(stream.feed(capture))
    stream.end()
    assert stream.damage is None
    return packets


class Conversation:
    """A TCP connection. Sequence numbers are those since SYN, which has number 0."""

    def __init__(self, *, up_number: int = 1000, down_number: int = 5000, version: int = 4) -> None:
        self.frames: list[Frame] = []
        self._numbers = {True: up_number, False: down_number}
        self._ids = {True: 100, False: 200}
        self._version = version

    def up(self, ms: float, seq: int = 1, ack: int = 1, **more) -> None:
        """The client sends."""
        self._send(True, ms, seq, ack, **more)

    def down(self, ms: float, seq: int = 1, ack: int = 1, **more) -> None:
        """The server sends."""
        self._send(False, ms, seq, ack, **more)

    def handshake(self, ms: float = 0, *, rtt: float = 10, options: bytes = b"", window: int = 1000) -> None:
        """SYN at `ms`, SYN ACK after `rtt`, ACK at once, as at the client."""
        self.up(ms, 0, 0, flags="S", options=options, window=window)
        self.down(ms + rtt, 0, 1, flags="SA", options=options, window=window)
        self.up(ms + rtt, 1, 1, window=window)

    def _send(
        self, from_client: bool, ms: float, seq: int, ack: int, *, data: int = 0, flags: str = "A", window: int = 1000,
        options: bytes = b"", ip_id: int | None = None, ttl: int = 64,
    ) -> None:  # fmt: skip
        if ip_id is None:
            self._ids[from_client] += 1
            ip_id = self._ids[from_client]
        ports = (CLIENT_PORT, SERVER_PORT) if from_client else (SERVER_PORT, CLIENT_PORT)
        seq = (self._numbers[from_client] + seq) % 2**32
        ack = (self._numbers[not from_client] + ack) % 2**32 if "A" in flags else 0
        segment = tcp(*ports, seq, ack, flags, window, data, options)
        hosts = (CLIENT, SERVER) if from_client else (SERVER, CLIENT)
        if self._version == 4:
            packet = ipv4(segment, *hosts, ip_id=ip_id, ttl=ttl)
        else:
            packet = ipv6(segment, *(f"fd00::{host}" for host in hosts), hop_limit=ttl)
        self.frames.append(Frame(BEGIN_NS + round(ms * MS), ethernet(packet)))

    def packets(self) -> list[Packet]:
        return packets_of(pcap(self.frames))

    def flow(self) -> Flow:
        [flow] = flows_of(self.packets())
        return flow


def flows_of(packets: Iterable[Packet], *, client: str | None = None) -> list[Flow]:
    table = FlowTable(client=None if client is None else ipaddress.ip_address(client).packed)
    for packet in packets:
        table.add(packet)
    return table.flows()
