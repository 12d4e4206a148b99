"""What survives a restart of the master: periodic requests with `keep`, the open operations of all requests, and the kill switch.

The file of requests is written about once a second. What ended later is in the journal, behind the place that the file names.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from measurement.checked_json import checked, verified
from measurement.master.live_request import LIVE, LiveRequest, RequestState
from measurement.master.operation_journal import RecordCursor
from measurement.measurement_request import MeasurementRequest
from measurement.operation import Destination, Name
from measurement.outcome import Status
from serving.durable_files import replace_file
from serving.regular_files import read_regular

NotNegative = Annotated[int, Meta(ge=0)]


class SavedRequest(Struct, frozen=True, kw_only=True):
    """A live request, in the master's file."""

    request_id: Name
    requester: Name
    request: MeasurementRequest
    destinations: list[Destination]
    agents: list[Name]
    submitted_ms: int
    round: NotNegative = 0
    planned: NotNegative = 0
    state: RequestState = RequestState.RUNNING
    statuses: dict[Status, NotNegative] = {}
    open: list[tuple[NotNegative, Name, str]] = []
    """Round, agent, and the bits of the destinations in hexadecimal digits."""
    segment: NotNegative = 0
    offset: NotNegative = 0
    """The place in the journal after the operations that have ended so far."""


class _KillSwitch(Struct, frozen=True, forbid_unknown_fields=True):
    """The kill switch, in the master's file."""

    on: bool


class KeptRequests:
    """Two files in the master's folder; ValueError if one is damaged."""

    def __init__(self, folder: Path) -> None:
        self._requests, self._stopped = folder / "requests.json", folder / "kill-switch.json"
        self._last = b""

    def snapshot(self, requests: Iterable[LiveRequest], behind: RecordCursor) -> bytes:
        """The requests that a restart would end or continue; `behind` is the present end of the journal."""
        saved = [
            SavedRequest(
                request_id=each.request_id,
                requester=each.requester,
                request=each.request,
                destinations=list(each.destinations),
                agents=list(each.agents),
                submitted_ms=each.submitted_ms,
                round=each.round,
                planned=each.planned,
                state=each.state,
                statuses=dict(each.tally),
                open=[(number, agent, f"{bits:x}") for (number, agent), bits in each.open_pairs.items()],
                segment=behind.segment,
                offset=behind.offset,
            )
            for each in requests
            if each.is_live or each.open
        ]
        return msgspec.json.encode(saved)

    def save(self, data: bytes) -> None:
        """Write a snapshot; it is durable when this returns. Before, the journal must be durable up to the snapshot's place."""
        if data != self._last:
            replace_file(self._requests, checked(data))
            self._last = data

    def save_stopped(self, *, stopped: bool) -> None:
        """Write the state of the kill switch; durable when this returns."""
        replace_file(self._stopped, checked(msgspec.json.encode(_KillSwitch(on=stopped))))

    def stopped(self) -> bool:
        """Whether the kill switch was on."""
        saved: _KillSwitch | None = self._read(self._stopped, msgspec.json.Decoder(_KillSwitch).decode)
        return saved is not None and saved.on

    def restored(self, now_s: float, wall_ms: int, *, start_s: float) -> tuple[list[LiveRequest], RecordCursor]:
        """The requests of the last run, with the operations that were open at the returned place of the journal.

        With `keep`, a request waits for its next round at `start_s`; the others are lost. The number of the next round is beyond
        all earlier ones, because a round takes at least a period, and because the file has the last one: the date may be wrong.
        """

        def parse(data: bytes) -> tuple[list[LiveRequest], RecordCursor]:
            saved = msgspec.json.decode(data, type=list[SavedRequest])
            place = min((RecordCursor(each.segment, each.offset) for each in saved), default=RecordCursor(0, 0))
            return [_restored(each, now_s, wall_ms, start_s) for each in saved], place

        return self._read(self._requests, parse) or ([], RecordCursor(0, 0))

    def _read(self, file: Path, parse: Callable[[bytes], Any]) -> Any:  # noqa: ANN401 - what `parse` returns
        try:
            return parse(verified(read_regular(file)))
        except FileNotFoundError:
            return None
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{file} is damaged: {error}; remove it to start without the state of the last run") from None


def _restored(saved: SavedRequest, now_s: float, wall_ms: int, start_s: float) -> LiveRequest:
    live = LiveRequest(
        request_id=saved.request_id,
        requester=saved.requester,
        request=saved.request,
        destinations=tuple(saved.destinations),
        agents=tuple(saved.agents),
        submitted_ms=saved.submitted_ms,
        round_start_s=now_s,
        planned=saved.planned,
        tally=Counter(saved.statuses),
    )
    for number, agent, bits in saved.open:
        live.open_pairs[number, agent] = int(bits, 16) & live.all_destinations
    live.open = sum(bits.bit_count() for bits in live.open_pairs.values())
    if saved.state not in LIVE:
        live.state, live.ended_s = saved.state, now_s
    elif saved.request.keep:
        past_s = max(0, wall_ms - saved.submitted_ms) / 1000
        live.round = max(int(past_s // saved.request.period_s), saved.round) + 1
        live.state, live.next_start_s = RequestState.WAITING, start_s
    else:
        live.state, live.ended_s = RequestState.LOST, now_s
    return live
