"""A player that reports the quality of experience of its viewer. The player is simulated, but the calls are those of a real one.

python examples/embed_player.py http://127.0.0.1:8080
"""

import sys
import time

from endhost_sdk import Telemetry

# Example values for five seconds: upload and download in kbit/s, buffer in ms, stall in ms.
MEASURED = [(846, 861, 6200, 0), (902, 870, 6900, 0), (760, 640, 1100, 0), (410, 380, 0, 360), (830, 990, 3800, 0)]


def watch(telemetry: Telemetry, channel: str) -> None:
    """One session, from the viewer's request to its end."""
    requested_s = time.monotonic()
    with telemetry.session(peer_id="p-7f3a", channel=channel, app="example-player/1.0", platform="desktop") as session:
        session.extra["cdn"] = "edge-3"
        time.sleep(0.4)  # join the swarm and fill the buffer
        session.started(after_ms=(time.monotonic() - requested_s) * 1000)
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
