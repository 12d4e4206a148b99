"""`python -m qoe_lab.clients CLIENT`: play one session, write its events, and report as an end host."""

import argparse
import asyncio
import os
import sys
import time
from pathlib import Path
from typing import Protocol

from qoe_lab.clients.client_settings import CannotPlayError, ClientSettings
from qoe_lab.clients.headless_player import HeadlessPlayer
from qoe_lab.clients.overlay_player import OverlayPlayer
from qoe_lab.clients.session_recorder import SessionRecorder
from qoe_lab.player_events import PlayerEvent
from qoe_lab.training_plan import CLIENTS


class SessionPlayer(Protocol):
    """One of the clients, which plays the session."""

    async def play(self) -> None:
        """Play the session. CannotPlayError if that is not possible."""
        ...


def main() -> int:
    """The exit code: 0 if the session was played, 1 if it could not be, 2 for a usage error."""
    arguments = _parser().parse_args()
    try:
        settings = ClientSettings(
            client=arguments.client,
            url=arguments.url,
            seconds=arguments.seconds,
            events=arguments.events,
            session_id=arguments.session_id,
            content_id=arguments.content_id,
            training_id=arguments.training_id,
            coordinator=arguments.coordinator,
            key=arguments.key,
            period_s=arguments.period,
            node=arguments.node,
            node_key=arguments.node_key,
            node_host=arguments.node_host,
        )
        recorder = SessionRecorder(settings)
    except (OSError, ValueError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    began_s = time.monotonic()
    with recorder:
        try:
            asyncio.run(_play(settings, recorder))
        except* CannotPlayError as failed:
            detail = "; ".join(str(error) for error in failed.exceptions)
            recorder.record(PlayerEvent(event="error", t_ms=(time.monotonic() - began_s) * 1000, detail=detail))
            sys.stderr.write(f"error: {detail}\n")
    return 1 if "error" in recorder.events else 0


async def _play(settings: ClientSettings, recorder: SessionRecorder) -> None:
    player: SessionPlayer
    match settings.client:
        case "headless":
            player = HeadlessPlayer(settings, recorder.record)
        case "overlay":
            player = OverlayPlayer(settings, recorder.record)
        case "hls.js" | "dash.js":
            from qoe_lab.clients.browser_player import BrowserPlayer  # Playwright takes long to import; the others do not need it

            player = BrowserPlayer(settings, recorder.record)
        case unknown:
            raise ValueError(f"{unknown} is no client of the lab; the clients are {', '.join(CLIENTS)}")
    await player.play()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m qoe_lab.clients", description="Play one session of the QoE lab.")
    parser.add_argument("client", choices=CLIENTS, help="what plays")
    parser.add_argument("--url", required=True, help="address of the playlist of HLS or of the manifest of DASH")
    parser.add_argument("--seconds", type=float, required=True, help="how long to play, from the start of the navigation")
    parser.add_argument("--events", type=Path, required=True, help="file for the events of the player (JSON lines)")
    parser.add_argument("--session-id", required=True, help="id of the session, also in its feedback messages")
    parser.add_argument("--content-id", required=True, help="the content, which is the channel in the feedback messages")
    parser.add_argument("--training-id", help="training of the session, an extra of the feedback messages")
    parser.add_argument("--coordinator", help="URL of the coordinator; without it, nothing is reported")
    parser.add_argument("--key", default=os.environ.get("SWARMSCOPE_KEY"), help="ingest key (environment variable: SWARMSCOPE_KEY)")
    parser.add_argument("--period", type=float, default=5.0, help="seconds between two reports (default: %(default)s)")
    parser.add_argument("--node", default="", help="name of the player in the overlay (client overlay)")
    parser.add_argument("--node-key", type=Path, help="file with the key of the node (client overlay)")
    parser.add_argument("--node-host", default="127.0.0.1", help="own address in the overlay (client overlay)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
