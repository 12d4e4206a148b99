"""A flow as a row of a table: its own columns, and those of each direction with the prefix `up_` or `down_`."""

from dataclasses import asdict

from qoe_lab.traffic.flow_table import Flow, FlowDirection
from qoe_lab.traffic.tcp_statistics import TCP_COLUMNS
from qoe_lab.traffic.traffic_column import TrafficColumn

FlowValue = str | int | float | bool | None

_OWN = (
    TrafficColumn("protocol", "", "tcp, udp, icmp, or the number of another protocol"),
    TrafficColumn("client", "", "IP address of the side that began the flow"),
    TrafficColumn("client_port", "", "its port; 0 for protocols without ports"),
    TrafficColumn("server", "", "IP address of the other side"),
    TrafficColumn("server_port", "", "its port"),
    TrafficColumn("begin_ns", "ns", "time of the first packet, since 1970"),
    TrafficColumn("end_ns", "ns", "time of the last packet, since 1970"),
)
_OF_ALL_PROTOCOLS = (
    TrafficColumn("packets", "", "IP packets"),
    TrafficColumn("frame_bytes", "bytes", "frames on the wire, with the headers of the link"),
    TrafficColumn("ip_bytes", "bytes", "IP packets with their headers"),
    TrafficColumn("payload_bytes", "bytes", "payload of TCP or UDP, with retransmissions"),
    TrafficColumn("goodput_kbps", "kbit/s", "payload without repeated bytes, divided by the duration of the flow"),
)
DIRECTION_COLUMNS = (*_OF_ALL_PROTOCOLS, *(column for column in TCP_COLUMNS if column.name != "packets"))
"""Of one direction. All after `goodput_kbps` are null for flows that are not TCP."""

FLOW_COLUMNS = (
    *_OWN,
    *(
        TrafficColumn(prefix + column.name, column.unit, f"{column.meaning}; {direction}")
        for prefix, direction in (("up_", "from the client"), ("down_", "from the server"))
        for column in DIRECTION_COLUMNS
    ),
)


def flow_row(flow: Flow) -> dict[str, FlowValue]:
    """The values of a flow by FLOW_COLUMNS, in this order."""
    own: tuple[FlowValue, ...] = (
        flow.protocol,
        flow.client,
        flow.client_port,
        flow.server,
        flow.server_port,
        flow.begin_ns,
        flow.end_ns,
    )
    row: dict[str, FlowValue] = {column.name: value for column, value in zip(_OWN, own, strict=True)}
    _add_direction(row, "up_", flow.up, flow.goodput_up_kbps)
    _add_direction(row, "down_", flow.down, flow.goodput_down_kbps)
    return row


def _add_direction(row: dict[str, FlowValue], prefix: str, direction: FlowDirection, goodput_kbps: float | None) -> None:
    tcp: dict[str, FlowValue] = {} if direction.tcp is None else asdict(direction.tcp)
    values: dict[str, FlowValue] = {
        **tcp,
        "packets": direction.packets,
        "frame_bytes": direction.frame_bytes,
        "ip_bytes": direction.ip_bytes,
        "payload_bytes": direction.payload_bytes,
        "goodput_kbps": goodput_kbps,
    }
    for column in DIRECTION_COLUMNS:
        row[prefix + column.name] = values.get(column.name)
