"""What is strange about a valid session: its labels, its packets and the request log cannot all be true. Pure.

A doubt removes nothing. The table of sessions names it, the data card counts it, and a person looks at the cause.
"""

from collections.abc import Callable, Mapping

from qoe_lab.dataset.table_columns import TableRow

MORE_THAN_RECEIVED = 1.25
"""Declared rates are means of a whole content, and a session plays some of its segments."""
EARLIER_MS = 50.0
"""How much earlier than the request log the player may have a picture: both write their times a little late."""

LONG_SILENCE_S = 5


def _played_more_than_received(row: TableRow) -> bool:
    kbps, played_ms, received = row.get("mean_kbps"), row.get("played_ms"), row.get("down_payload_bytes")
    if kbps is None or played_ms is None or received is None:
        return False
    return bool(kbps * played_ms / 8 > MORE_THAN_RECEIVED * received)


def _picture_before_first_segment(row: TableRow) -> bool:
    startup_ms, arrived_ms = row.get("startup_ms"), row.get("server_startup_ms")
    return startup_ms is not None and arrived_ms is not None and startup_ms < arrived_ms - EARLIER_MS


def _stall_of_one_witness(row: TableRow) -> bool:
    return bool((row.get("stalls_only_player") or 0) + (row.get("stalls_only_server") or 0))


def _silent_stall(row: TableRow) -> bool:
    return (row.get("silent_stall_s") or 0) >= LONG_SILENCE_S


def _frozen_link(row: TableRow) -> bool:
    return (row.get("silent_end_s") or 0) >= LONG_SILENCE_S - 1 and (row.get("server_unacked") or 0) > 0


def _no_traffic(row: TableRow) -> bool:
    return bool(row.get("started")) and not row.get("down_payload_bytes")


DOUBTS: Mapping[str, tuple[str, Callable[[TableRow], bool]]] = {
    "played_more_than_received": (
        f"the declared rate and the played time need more than {MORE_THAN_RECEIVED:g} times the received bytes",
        _played_more_than_received,
    ),
    "picture_before_first_segment": (
        f"the first picture was shown more than {EARLIER_MS:g} ms before the first segment had arrived",
        _picture_before_first_segment,
    ),
    "stall_of_one_witness": ("the player or the request log has a stall that the other one does not have", _stall_of_one_witness),
    "silent_stall": (
        f"in at least {LONG_SILENCE_S} s of stalls, no packet came: an outage of the trace, or a lab that failed",
        _silent_stall,
    ),
    "silent_end": (
        f"in the last {LONG_SILENCE_S - 1} s, no packet came, but the server had sent packets: an outage, or a link that stopped",
        _frozen_link,
    ),
    "picture_without_traffic": ("a picture was shown, and nothing was received", _no_traffic),
}
"""Name of a doubt → what it means, and whether a row has it."""


def doubts_of(row: TableRow) -> str | None:
    """The names of the doubts about a session, with spaces between them; None without a doubt."""
    return " ".join(name for name, (_, applies) in DOUBTS.items() if applies(row)) or None
