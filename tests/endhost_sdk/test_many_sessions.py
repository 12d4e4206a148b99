"""An app with thousands of sessions at once, such as an edge node, and a real coordinator that accepts everything."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

CROWD = """
import sys, time
from endhost_sdk import Telemetry
telemetry = Telemetry(sys.argv[1], period_s=86_400, flush_s=60, timeout_s=60)
sessions = [telemetry.session(peer_id=f"p-{number}", channel="crowd") for number in range(2000)]
while (stats := telemetry.stats()).sent < 2000 and not stats.forgotten:
    time.sleep(0.02)
print(stats.built, stats.sent, stats.forgotten)
telemetry.close()
stats = telemetry.stats()
print(stats.built, stats.sent, stats.forgotten)
"""


def test_two_thousand_simultaneous_sessions_lose_no_message_in_the_default_buffer(serve, tmp_path):
    feedback_server = serve("feedback-server", "--insecure", "--listen", "127.0.0.1:0", "--data", str(tmp_path / "logs"))
    flags = ("--feedback-server", feedback_server.url, "--listen", "127.0.0.1:0", "--spool", str(tmp_path / "spool"))
    coordinator = serve("coordinator", "--insecure", *flags)
    app = subprocess.run(
        [sys.executable, "-c", CROWD, coordinator.url], capture_output=True, text=True, timeout=150, check=True, cwd=ROOT
    )
    assert app.stdout.splitlines() == ["2000 2000 0", "4000 4000 0"]


def test_a_buffer_smaller_than_the_number_of_sessions_is_emptied_while_they_join(coordinator, telemetry):
    server = coordinator()
    client = telemetry(server.url, period_s=86_400, buffer_messages=7, flush_s=60)
    for number in range(100):
        client.session(peer_id=f"p-{number}")
    client.close()
    stats = client.stats()
    assert (stats.built, stats.sent, stats.forgotten) == (200, 200, 0)
    assert max(len(heard.messages) for heard in server.heard) == 7
