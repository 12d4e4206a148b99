"""From captured headers to numbers: flows, TCP statistics, and features of each second. No input but a capture.

`CaptureReader` reads a file, `PacketStream` the bytes of a capture that is still being written. `FlowTable` counts flows,
`SlotCounter` divides a session into slots.
"""

from qoe_lab.traffic.capture_reader import CaptureReader
from qoe_lab.traffic.flow_columns import FLOW_COLUMNS, flow_row
from qoe_lab.traffic.flow_table import Flow, FlowDirection, FlowTable
from qoe_lab.traffic.label_manager_columns import LABEL_MANAGER_COLUMNS, WRITTEN_AS, label_manager_row
from qoe_lab.traffic.link_frame import LinkFrame, NotACaptureError
from qoe_lab.traffic.packet_headers import Packet, TcpHeader, read_packet
from qoe_lab.traffic.packet_stream import PacketStream
from qoe_lab.traffic.slot_counter import SlotCounter, TrafficSlot
from qoe_lab.traffic.slot_features import SLOT_FEATURES
from qoe_lab.traffic.tcp_statistics import TCP_COLUMNS, TcpStatistics
from qoe_lab.traffic.traffic_column import TrafficColumn

__all__ = [
    "FLOW_COLUMNS",
    "LABEL_MANAGER_COLUMNS",
    "SLOT_FEATURES",
    "TCP_COLUMNS",
    "WRITTEN_AS",
    "CaptureReader",
    "Flow",
    "FlowDirection",
    "FlowTable",
    "LinkFrame",
    "NotACaptureError",
    "Packet",
    "PacketStream",
    "SlotCounter",
    "TcpHeader",
    "TcpStatistics",
    "TrafficColumn",
    "TrafficSlot",
    "flow_row",
    "label_manager_row",
    "read_packet",
]
