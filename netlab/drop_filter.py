"""Random loss without `sch_netem`: a classic BPF program at the egress of an interface, as one netlink message.

pyroute2 knows BPF filters that are loaded by a descriptor, which needs rights that a user namespace does not give. A classic
program travels in the message itself. The layout is that of `tc filter replace dev X egress bpf direct-action bytecode …`.
"""

import os
import socket
import struct

RTM_NEWTFILTER = 44
NLMSG_ERROR = 2
# NLM_F_REQUEST | NLM_F_ACK | NLM_F_REPLACE | NLM_F_CREATE
FLAGS = 0x001 | 0x004 | 0x100 | 0x400
CLSACT_EGRESS = 0xFFFFFFF3
ETH_P_IP = 0x0800
TCA_KIND, TCA_OPTIONS = 1, 2
TCA_BPF_OPS_LEN, TCA_BPF_OPS, TCA_BPF_FLAGS = 4, 5, 8
DIRECT_ACTION = 1

# linux/filter.h: BPF_LD|BPF_W|BPF_ABS, BPF_JMP|BPF_JGT|BPF_K, BPF_RET|BPF_K
LOAD, JUMP_IF_GREATER, RETURN = 0x20, 0x25, 0x06
RANDOM = 0xFFFFF000 + 56
"""SKF_AD_OFF + SKF_AD_RANDOM: loading from there gives 32 random bits."""
PASS, DROP = 0, 2
"""TC_ACT_OK, TC_ACT_SHOT"""


def program(loss: float) -> bytes:
    """Instructions that drop a packet with probability `loss`."""
    if loss >= 1:
        return _instruction(RETURN, 0, 0, DROP)
    if loss <= 0:
        return _instruction(RETURN, 0, 0, PASS)
    threshold = max(int(loss * 2**32) - 1, 0)  # the values 0 … threshold are dropped
    return b"".join(
        (
            _instruction(LOAD, 0, 0, RANDOM),
            _instruction(JUMP_IF_GREATER, 0, 1, threshold),
            _instruction(RETURN, 0, 0, PASS),
            _instruction(RETURN, 0, 0, DROP),
        )
    )


def _instruction(code: int, if_true: int, if_false: int, value: int) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)


def message(interface_index: int, loss: float) -> bytes:
    """The netlink message that installs the filter, in place of an earlier one."""
    instructions = program(loss)
    options = (
        _attribute(TCA_BPF_OPS_LEN, struct.pack("=H", len(instructions) // 8))
        + _attribute(TCA_BPF_OPS, instructions)
        + _attribute(TCA_BPF_FLAGS, struct.pack("=I", DIRECT_ACTION))
    )
    priority_and_protocol = 1 << 16 | socket.htons(ETH_P_IP)
    body = struct.pack("=BxxxiIII", socket.AF_UNSPEC, interface_index, 1, CLSACT_EGRESS, priority_and_protocol)
    body += _attribute(TCA_KIND, b"bpf\0") + _attribute(TCA_OPTIONS, options)
    return struct.pack("=IHHII", 16 + len(body), RTM_NEWTFILTER, FLAGS, 1, 0) + body


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + b"\0" * (-len(value) % 4)


def install(interface_index: int, loss: float) -> None:
    """Install the filter in the namespace of the calling thread. The interface needs a clsact qdisc. OSError if it is refused."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE) as kernel:
        kernel.send(message(interface_index, loss))
        answer = kernel.recv(65536)
    (kind,) = struct.unpack_from("=H", answer, 4)
    (number,) = struct.unpack_from("=i", answer, 16)
    if kind != NLMSG_ERROR or number != 0:
        raise OSError(-number, f"the kernel refuses the drop filter: {os.strerror(-number)}")
