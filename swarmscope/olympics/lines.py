"""Encodes messages as lines of a log. Values that are constant in a view are encoded once per view, the others once per message."""

import json

from feedback_wire.record import Origin
from swarmscope.audience.channels import CHANNEL_POPULARITY
from swarmscope.audience.end_hosts import EndHost
from swarmscope.olympics.hosts import Hosts
from swarmscope.olympics.message_columns import MessageColumns
from swarmscope.olympics.planned_views import Views
from swarmscope.olympics.programme import Day

VIA = "olympics"
_CHANNELS = tuple(CHANNEL_POPULARITY)
_EVENTS = (b"join", b"report", b"leave")
_BEGIN = b'{"received_ms":%d,%b"seq":%d,"event":"%b","sent_ms":%d,"uptime_ms":%d,%b'
_REPORT = (
    b'"upload_kbps":%d,"download_kbps":%d,"playback_kbps":%d,"continuity":%.4f,"startup_ms":%d,"stall_count":%d,'
    b'"stall_ms":%d,"played_ms":%d,"buffer_ms":%d,"partners":%d,"p2p_ratio":%.3f,'
)
_TEMPLATES = (_BEGIN + b'"extra":{"cdn":"%b"}}\n', _BEGIN + _REPORT + b'"extra":{"cdn":"%b"}}\n')


class Lines:
    """Encodes the messages of one day's views."""

    def __init__(self, day: Day, views: Views, host: list[int], hosts: Hosts) -> None:
        self._edges = [each.edge.encode() for each in hosts.each]
        self._facts = [_constant_fields(each) for each in hosts.each]
        self._names = [
            _identity(hosts.each[at], f"{day.date}-{peer:06d}-{number}")
            for at, peer, number in zip(host, views.peer.tolist(), views.number.tolist(), strict=True)
        ]
        self._channels = [_member("channel", _CHANNELS[channel]) for channel in views.channel.tolist()]

    def of(self, messages: MessageColumns) -> list[bytes]:
        """One line per message, in the order of `messages`."""
        names, channels, facts, edges = self._names, self._channels, self._facts, self._edges
        join, report = _TEMPLATES
        begins = zip(
            messages.received_ms.tolist(), messages.view.tolist(), messages.host.tolist(), messages.seq.tolist(),
            messages.event.tolist(), messages.sent_ms.tolist(), messages.uptime_ms.tolist(), messages.reports.tolist(), strict=True,
        )  # fmt: skip
        reported = zip(
            messages.upload_kbps.tolist(), messages.download_kbps.tolist(), messages.playback_kbps.tolist(),
            messages.continuity.tolist(), messages.startup_ms.tolist(), messages.stall_count.tolist(), messages.stall_ms.tolist(),
            messages.played_ms.tolist(), messages.buffer_ms.tolist(), messages.partners.tolist(), messages.p2p_ratio.tolist(),
            strict=True,
        )  # fmt: skip
        return [
            report % (received, names[view], seq, _EVENTS[event], sent, uptime, channels[view] + facts[host], *values, edges[host])
            if reports
            else join % (received, names[view], seq, _EVENTS[event], sent, uptime, channels[view] + facts[host], edges[host])
            for (received, view, host, seq, event, sent, uptime, reports), values in zip(begins, reported, strict=True)
        ]


def _identity(host: EndHost, session_id: str) -> bytes:
    """The fields that a coordinator adds (with a truncated address, its default), and the ids of peer and session."""
    network = host.ip.rsplit(".", 1)[0] + ".0"
    names = _member("peer_id", host.peer_id) + _member("session_id", session_id)
    return Origin(ip=network, weight=1, via=VIA).prefix()[1:] + b'"v":1,' + names


def _constant_fields(host: EndHost) -> bytes:
    return _member("isp", host.isp) + _member("app", host.app) + _member("platform", host.device.platform)


def _member(name: str, value: str) -> bytes:
    return f'"{name}":{json.dumps(value, ensure_ascii=False)},'.encode()
