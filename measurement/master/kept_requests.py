"""What outlives a restart of the master: periodic requests with `keep`, the ids of those that are lost, and the kill switch."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from measurement.master.live_request import LiveRequest, RequestState
from measurement.measurement_request import MeasurementRequest
from measurement.operation import Destination, Name
from serving.durable_files import replace_file


class SavedRequest(Struct, frozen=True, kw_only=True):
    """A live request, in the master's file."""

    request_id: Name
    requester: Name
    request: MeasurementRequest
    destinations: list[Destination]
    agents: list[Name]
    submitted_ms: int


class KeptRequests:
    """Two files in the master's folder; ValueError if one is damaged."""

    def __init__(self, folder: Path) -> None:
        self._requests, self._stopped = folder / "requests.json", folder / "kill-switch.json"
        self._last = b""

    def save(self, requests: Iterable[LiveRequest]) -> None:
        """Write the live requests; durable when this returns."""
        saved = [
            SavedRequest(
                request_id=each.request_id,
                requester=each.requester,
                request=each.request,
                destinations=list(each.destinations),
                agents=list(each.agents),
                submitted_ms=each.submitted_ms,
            )
            for each in requests
            if each.is_live
        ]
        data = msgspec.json.encode(saved)
        if data != self._last:
            replace_file(self._requests, data)
            self._last = data

    def save_stopped(self, *, stopped: bool) -> None:
        """Write the state of the kill switch; durable when this returns."""
        replace_file(self._stopped, json.dumps({"on": stopped}).encode())

    def stopped(self) -> bool:
        """Whether the kill switch was on."""
        saved = self._read(self._stopped, json.loads)
        return bool(saved is not None and saved.get("on"))

    def restored(self, now_s: float, wall_ms: int, *, start_s: float) -> list[LiveRequest]:
        """The requests of the last run: with `keep`, they wait for their next round at `start_s`; the others are lost.

        The number of the next round is beyond all earlier ones, because a round takes at least a period.
        """
        saved: list[SavedRequest] = self._read(self._requests, msgspec.json.Decoder(list[SavedRequest]).decode) or []
        return [_restored(each, now_s, wall_ms, start_s) for each in saved]

    def _read(self, file: Path, parse: Callable[[bytes], Any]) -> Any:  # noqa: ANN401 - what `parse` returns
        try:
            return parse(file.read_bytes())
        except FileNotFoundError:
            return None
        except (ValueError, msgspec.MsgspecError) as error:
            raise ValueError(f"{file} is damaged: {error}; remove it to start without the requests of the last run") from None


def _restored(saved: SavedRequest, now_s: float, wall_ms: int, start_s: float) -> LiveRequest:
    live = LiveRequest(
        request_id=saved.request_id,
        requester=saved.requester,
        request=saved.request,
        destinations=tuple(saved.destinations),
        agents=tuple(saved.agents),
        submitted_ms=saved.submitted_ms,
        round_start_s=now_s,
    )
    if saved.request.keep:
        past_s = max(0, wall_ms - saved.submitted_ms) / 1000
        live.round = int(past_s // saved.request.period_s) + 1
        live.state, live.next_start_s = RequestState.WAITING, start_s
    else:
        live.state, live.ended_s = RequestState.LOST, now_s
    return live
