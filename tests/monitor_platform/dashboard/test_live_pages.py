"""Live, through real processes: messages are on the page within seconds, and silence is reported."""

import json
import random
import re
import time
import urllib.error
import urllib.request

import pytest

from feedback_wire import routes
from feedback_wire.record import Origin
from tests.harness import forks
from tests.harness.processes import Server, run_swarmscope
from tests.harness.waiting import eventually

ORIGIN = Origin(ip="1.36.209.7", weight=1, via="c1").prefix()


@pytest.fixture
def feedback_server(serve, tmp_path) -> Server:
    arguments = ("--insecure", "--listen", "127.0.0.1:0", "--data", str(tmp_path / "fs"), "--name", "fs1")
    return serve("feedback-server", *arguments)


@pytest.fixture
def monitor(serve, feedback_server, tmp_path) -> Server:
    arguments = ("--insecure", "--listen", "127.0.0.1:0", "--poll-seconds", "1", "--mirror", str(tmp_path / "mirror"))
    return serve("monitor", "--feedback-server", feedback_server.url, *arguments)


def send(url: str, batch: int, peers: range, *, channel: str = "ch1") -> None:
    """One batch as a coordinator sends it: a message of each of `peers`."""
    messages = (
        {"v": 1, "peer_id": f"p{n}", "session_id": f"s{n}", "seq": 0, "event": "join", "sent_ms": time.time_ns() // 1_000_000}
        | {"channel": channel, "playback_kbps": 850.0, "continuity": 0.988}
        for n in peers
    )
    body = b"".join(ORIGIN + json.dumps(message).encode()[1:] + b"\n" for message in messages)
    headers = {"Content-Type": routes.NDJSON, routes.BATCH_HEADER: f"{batch:032x}"}
    with urllib.request.urlopen(urllib.request.Request(url + routes.RECORDS, body, headers), timeout=60) as answer:
        assert json.loads(answer.read())["stored"] == len(peers)


def summary(monitor: Server, query: str = "") -> dict:
    with urllib.request.urlopen(f"{monitor.url}/api/v1/summary{query}", timeout=60) as answer:
        return json.loads(answer.read())


@pytest.mark.browser
def test_an_empty_page_shows_numbers_that_change_when_messages_arrive(monitor, feedback_server, visit):
    page = visit(monitor.url)
    assert page.page.locator("#state-title").inner_text() == "No feedback yet"
    assert page.page.locator("#state-command").inner_text().startswith("curl ")
    send(feedback_server.url, 1, range(30))
    page.becomes("document.querySelector('.tile[data-measure=concurrent_peers] b')?.innerText === '30'")
    assert page.tile("mos") == "3.82"
    send(feedback_server.url, 2, range(30, 40), channel="ch2")
    page.becomes("document.querySelector('.tile[data-measure=concurrent_peers] b')?.innerText === '40'")
    page.becomes(r"/^\d+\.\d s behind$/.test(document.getElementById('pill-text').innerText)")
    page.page.select_option("select[name=channel]", "ch2")
    page.becomes("document.querySelector('.tile[data-measure=concurrent_peers] b')?.innerText === '10'")


@pytest.mark.browser
def test_no_row_of_the_sessions_moves_when_newer_numbers_are_offered(monitor, feedback_server, visit):
    send(feedback_server.url, 1, range(3))
    eventually(lambda: summary(monitor)["peers"] == 3)
    page = visit(monitor.url, "/sessions", width=390)
    first = page.page.locator("#sessions tbody tr a").first
    place = first.bounding_box()["y"]
    assert not page.page.locator("#refresh").is_visible()
    send(feedback_server.url, 2, range(3, 6))
    page.becomes("document.getElementById('refresh').checkVisibility({ visibilityProperty: true })")
    assert first.bounding_box()["y"] == place


@pytest.mark.browser
def test_when_every_peer_has_left_the_page_states_it(serve, feedback_server, visit, tmp_path):
    arguments = ("--insecure", "--listen", "127.0.0.1:0", "--poll-seconds", "1", "--mirror", str(tmp_path / "mirror"))
    monitor = serve("monitor", "--feedback-server", feedback_server.url, *arguments, "--period", "6")
    send(feedback_server.url, 1, range(30))
    page = visit(monitor.url)
    page.becomes("!document.getElementById('gone').hidden")
    warning = page.page.locator("#gone").inner_text()
    assert re.fullmatch(
        r"No peer is present: none has reported in the last 6 s\. The last report arrived \d+ s ago\. Before, 30 peers reported\.",
        warning,
    )
    page.becomes("document.querySelector('.tile[data-measure=mos] small').innerText.startsWith('now – ')")
    assert (page.tile("concurrent_peers"), page.tile("mos")) == ("0", "3.82")
    send(feedback_server.url, 2, range(30, 40))
    page.becomes("document.getElementById('gone').hidden && document.querySelector('#tiles small').innerText === '40 in all'")
    feedback_server.kill()
    page.becomes("!document.getElementById('gone').hidden")
    unknown = "Whether peers are present is unknown: no feedback server answers. "
    assert page.page.locator("#gone").inner_text().startswith(unknown)


@pytest.mark.browser
def test_a_dead_feedback_server_is_named_and_the_figures_stay(monitor, feedback_server, visit):
    send(feedback_server.url, 1, range(30))
    eventually(lambda: summary(monitor)["peers"] == 30)
    page = visit(monitor.url)
    feedback_server.kill()
    page.becomes(r"/fs1 silent for \d+ s; figures are not updated/.test(document.getElementById('pill-text').innerText)")
    assert page.page.locator("body").get_attribute("data-pill") == "stale"
    assert page.page.locator("body").get_attribute("data-state") == "ok"


PILL_IS = "text => document.getElementById('pill-kind').innerText.toLowerCase() === text"
AUDIENCE_IS = "text => document.querySelector('.tile[data-measure=concurrent_peers] small')?.innerText === text"


@pytest.mark.soak
@pytest.mark.browser
def test_a_paused_page_and_one_that_a_drag_has_zoomed_hold_still_until_they_are_live_again(monitor, feedback_server, visit):
    send(feedback_server.url, 1, range(30))
    eventually(lambda: summary(monitor)["peers"] == 30)
    page = visit(monitor.url, "/?minutes=5")
    page.becomes(AUDIENCE_IS, "30 in all")
    page.page.locator("#hold").click()
    page.becomes(PILL_IS, "paused")
    page.becomes("() => document.getElementById('hold').innerText === 'Go live'")
    send(feedback_server.url, 2, range(30, 40))
    eventually(lambda: summary(monitor)["peers"] == 40)
    other = visit(monitor.url)
    other.becomes(AUDIENCE_IS, "40 in all")
    assert page.page.locator(".tile[data-measure=concurrent_peers] small").inner_text() == "30 in all"
    page.page.locator("#hold").click()
    page.becomes(PILL_IS, "live")
    page.becomes(AUDIENCE_IS, "40 in all")
    assert page.page.url.endswith("/?minutes=5")
    box = other.page.locator(".card.timeline .figure").bounding_box()
    other.page.mouse.move(box["x"] + box["width"] * 0.3, box["y"] + 60)
    other.page.mouse.down()
    other.page.mouse.move(box["x"] + box["width"] * 0.8, box["y"] + 60, steps=8)
    other.page.mouse.up()
    other.becomes("() => location.search.includes('from=') && location.search.includes('to=')")
    other.becomes(PILL_IS, "paused")


def viewers(monitor: Server) -> float:
    with urllib.request.urlopen(monitor.url + routes.METRICS, timeout=60) as answer:
        [line] = [line for line in answer.read().decode().splitlines() if line.startswith("swarmscope_monitor_viewers ")]
    return float(line.split()[1])


@pytest.mark.browser
def test_viewers_who_leave_are_forgotten_although_unconnected_pages_are_kept(serve, feedback_server, visit, tmp_path):
    """A page whose browser does not connect stays for 15 s; in this process for an hour. A page that was open must not stay."""
    keeps_unconnected = {forks.CONSTANTS: json.dumps({"monitor_platform.dashboard_server:UNUSED_PAGE_MS": 3_600_000})}
    arguments = ("--insecure", "--listen", "127.0.0.1:0", "--poll-seconds", "1", "--mirror", str(tmp_path / "mirror"))
    monitor = serve("monitor", "--feedback-server", feedback_server.url, *arguments, env=keeps_unconnected)
    send(feedback_server.url, 1, range(30))
    pages = [visit(monitor.url, path) for path in ("/sessions", "/timeline")]
    urllib.request.urlopen(monitor.url, timeout=60).close()  # a page that no browser connects
    eventually(lambda: viewers(monitor) == 3)
    for page in pages:
        page.page.goto("about:blank")
    eventually(lambda: viewers(monitor) == 1)
    assert "Traceback" not in monitor.log_text()


@pytest.mark.soak
@pytest.mark.browser
def test_a_page_survives_a_restart_of_the_platform(serve, monitor, feedback_server, visit, tmp_path):
    send(feedback_server.url, 1, range(5))
    eventually(lambda: summary(monitor)["peers"] == 5)
    page = visit(monitor.url)
    assert monitor.stop() == 0
    page.becomes("document.getElementById('pill-kind').innerText.toUpperCase() === 'DISCONNECTED'")
    page.wrong.clear()  # a browser always complains about a refused connection
    arguments = ("--insecure", "--listen", monitor.url.removeprefix("http://"), "--mirror", str(tmp_path / "mirror"))
    serve("monitor", "--feedback-server", feedback_server.url, *arguments)
    page.becomes("document.body.dataset.pill === 'live'")  # the page without a connection still shows its last figures
    page.becomes("document.querySelector('.tile[data-measure=concurrent_peers] small')?.innerText === '5 in all'")
    page.wrong.clear()


def test_a_mirror_in_use_is_refused_before_the_ready_line(monitor, feedback_server, tmp_path):
    arguments = ("--insecure", "--listen", "127.0.0.1:0", "--mirror", str(tmp_path / "mirror"))
    second = run_swarmscope("monitor", "--feedback-server", feedback_server.url, *arguments)
    assert (second.returncode, second.stdout) == (1, "")
    [line] = second.stderr.splitlines()
    assert "another monitoring platform uses the mirror" in line


def test_the_platform_is_not_ready_while_it_reads_the_mirror(serve, feedback_server, invented, tmp_path):
    folder = tmp_path / "mirror" / "fs1"
    folder.mkdir(parents=True)
    chance, now_ms = random.Random(3), time.time_ns() // 1_000_000
    # Some seconds of reading: one log after the other, each with a name of its own.
    for minute in range(30, 0, -1):
        begins = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now_ms / 1000 - 60 * minute))
        sent = [invented.record(peer, minute, now_ms - 60_000 * minute, chance=chance) for peer in range(500)]
        invented.write_log(folder, sent, begins=begins)
    arguments = ("--insecure", "--listen", "127.0.0.1:0", "--mirror", str(tmp_path / "mirror"))
    monitor = serve("monitor", "--feedback-server", feedback_server.url, *arguments)
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"{monitor.url}/readyz", timeout=60)
    assert (refused.value.code, refused.value.headers["Content-Type"]) == (503, routes.PROBLEM)
    assert json.loads(refused.value.read())["reason"] == "reading_back"
    eventually(lambda: is_ready(monitor), within_s=300)
    assert summary(monitor)["sessions"] == 500


def is_ready(monitor: Server) -> bool:
    try:
        with urllib.request.urlopen(f"{monitor.url}/readyz", timeout=60) as answer:
            return answer.status == 200
    except urllib.error.HTTPError:
        return False


def test_a_time_range_before_the_memory_is_read_from_the_mirror(serve, feedback_server, invented, tmp_path):
    folder = tmp_path / "mirror" / "fs1"
    folder.mkdir(parents=True)
    chance = random.Random(3)
    invented.write_log(folder, [invented.record(peer, 0, invented.begin_ms + peer, chance=chance) for peer in range(60)])
    arguments = ("--insecure", "--listen", "127.0.0.1:0", "--mirror", str(tmp_path / "mirror"))
    monitor = serve("monitor", "--feedback-server", feedback_server.url, *arguments)
    assert summary(monitor)["messages"] == 0
    assert summary(monitor, "?from=2012-08-07T09:00:00Z&to=2012-08-07T10:00:00Z")["messages"] == 60
    assert summary(monitor, f"?from={invented.begin_ms}&to={invented.begin_ms + 10}")["messages"] == 10


def test_names_beyond_a_budget_are_counted_in_the_metrics_and_on_the_health_page(serve, feedback_server, tmp_path):
    arguments = ("--insecure", "--listen", "127.0.0.1:0", "--poll-seconds", "1", "--mirror", str(tmp_path / "mirror"))
    monitor = serve("monitor", "--feedback-server", feedback_server.url, "--budget", "channel=2", *arguments)
    for batch in range(1, 6):
        send(feedback_server.url, batch, range(batch * 10, batch * 10 + 10), channel=f"ch{batch}")
    eventually(lambda: summary(monitor)["peers"] == 50)
    groups = {group["by"]["channel"]: group["peers"] for group in summary(monitor, "?by=channel")["groups"]}
    assert groups.pop("(other)") == 30
    assert list(groups.values()) == [10, 10]
    with urllib.request.urlopen(monitor.url + routes.METRICS, timeout=60) as answer:
        metrics_text = answer.read().decode()
    assert 'swarmscope_monitor_other_values_total{field="channel"} 30.0' in metrics_text
    assert 'swarmscope_monitor_names{field="channel"} 2.0' in metrics_text


def test_a_summary_without_a_time_range_is_answered_from_memory_and_not_from_the_logs(monitor, feedback_server, tmp_path):
    send(feedback_server.url, 1, range(30))
    eventually(lambda: summary(monitor)["peers"] == 30)
    unread = tmp_path / "mirror" / "fs2" / f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-fs2-0000.jsonl.zst"
    unread.parent.mkdir()
    unread.symlink_to("nothing")
    assert summary(monitor, f"?from={time.time_ns() // 1_000_000 - 2 * 3_600_000}")["unread_logs"] == 1, "the logs are read"
    assert [summary(monitor)["unread_logs"] for _ in range(5)] == [0] * 5
