"""A player that reports what its viewer gets; the player is made up, the calls are all that a real one needs.

python examples/embed_player.py http://127.0.0.1:8080
"""

import sys
import time

from endhost_sdk import Telemetry

# What the player would measure in one second after the other: upload and download in kbit/s, buffer in ms, stalled for ms.
MEASURED = [(846, 861, 6200, 0), (902, 870, 6900, 0), (760, 640, 1100, 0), (410, 380, 0, 360), (830, 990, 3800, 0)]


def watch(telemetry: Telemetry, channel: str) -> None:
    """One view, from the viewer's wish to its end."""
    wished_s = time.monotonic()
    with telemetry.session(peer_id="p-7f3a", channel=channel, app="example-player/1.0", platform="desktop") as session:
        session.extra["cdn"] = "edge-3"
        time.sleep(0.4)  # joining the swarm, filling the buffer
        session.started(after_ms=(time.monotonic() - wished_s) * 1000)
        for upload_kbps, download_kbps, buffer_ms, stalled_ms in MEASURED:
            time.sleep(1)
            session.update(
                upload_kbps=upload_kbps, download_kbps=download_kbps, buffer_ms=buffer_ms, playback_kbps=850, partners=14
            )
            if stalled_ms:
                session.stalled(for_ms=stalled_ms)


def main() -> None:
    telemetry = Telemetry(sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8080", period_s=2)
    watch(telemetry, channel="Badminton")
    watch(telemetry, channel="Table Tennis")
    telemetry.close()
    print(telemetry.stats())


if __name__ == "__main__":
    main()
