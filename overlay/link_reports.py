"""A node's regular work for the bootstrapper: renew the lease, report the measured links, and start the traces of its streams."""

from collections.abc import Mapping

from overlay.control import ControlConnection
from overlay.distribution import Distribution
from overlay.heartbeat import IDLE_S
from overlay.known_neighbor import KnownNeighbor
from overlay.link_measure import is_news
from overlay.membership import Membership
from overlay.messages import Ping
from overlay.node_settings import NodeSettings
from overlay.tracing import Tracing

REPORT_S = 1.0
"""The time between two reports of a node that uses a stream."""


class LinkReports:
    """Call `report` at each beat of the node; it does nothing until a report is due."""

    def __init__(
        self,
        settings: NodeSettings,
        neighbors: Mapping[str, KnownNeighbor],
        membership: Membership,
        distribution: Distribution,
        tracing: Tracing,
    ) -> None:
        self._settings, self._neighbors, self._membership = settings, neighbors, membership
        self._distribution, self._tracing = distribution, tracing
        self._originates = {choice.name for choice in settings.originated()}
        self._number, self._sent_s = 0, 0.0
        self._sent_to: tuple[ControlConnection | None, float] = None, 0.0
        """The connection of the latest report, and the interval in seconds. A change of either causes a report at once."""

    def report(self, now_s: float, *, in_use: bool) -> None:
        """Report once per `REPORT_S`, or per `IDLE_S` while no stream is in use. An idle node reports only changed links."""
        every_s = REPORT_S if in_use else IDLE_S
        seconds, connection = now_s - self._sent_s, self._membership.connection
        if seconds < every_s and (connection, every_s) == self._sent_to:
            return
        self._sent_s, self._sent_to = now_s, (connection, every_s)
        self._number += 1
        if connection is not None:
            connection.send(Ping(node=self._settings.name, number=self._number, interval_ms=round(every_s * 1000)))
        for name, neighbor in self._neighbors.items():
            neighbor.measure.sample(*self._distribution.lost_of(name), seconds)
            self._report_link(name, neighbor, in_use=in_use)
        for stream in self._originates & self._distribution.streams.keys():
            self._tracing.begin(stream, self._number)

    def _report_link(self, name: str, neighbor: KnownNeighbor, *, in_use: bool) -> None:
        state = neighbor.measure.state(name)
        if neighbor.connection is not None and state is not None and (in_use or is_news(neighbor.reported, state)):
            neighbor.reported = state
            self._membership.send_message(state)
