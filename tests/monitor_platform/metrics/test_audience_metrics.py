"""The audience as Prometheus gauges: they equal the summary, and every metric of the Grafana dashboard exists."""

import json
import re
from pathlib import Path
from urllib.request import urlopen

import pytest

from feedback_analysis.geo.locator import Locator
from feedback_analysis.measures.selection import Span
from feedback_analysis.measures.summary import summarize
from feedback_analysis.messages.load import open_logs
from feedback_analysis.quality.mos import MosModel
from monitor_platform.metrics.audience_metrics import MOST_GRACE_MS, _span_of_gaps
from tests.harness.logs import BEGIN_MS, record, write_log
from tests.harness.processes import start_server
from tests.harness.waiting import eventually

ROOT = Path(__file__).parents[3]
GRAFANA = ROOT / "docker/grafana/swarmscope.json"


def audience():
    """Two minutes of thirty peers; only the second minute is "now"."""
    return [
        record(
            received_ms=BEGIN_MS + seq * 30_000 + peer * 500,
            peer_id=f"p{peer}",
            session_id=f"s{peer}",
            seq=seq,
            channel='頻道 "1"\\' if peer % 3 else "ViuTV",
            isp="HGC" if peer % 2 else "PCCW",
            upload_kbps=100 * (seq + 1) + peer,
            download_kbps=800,
            playback_kbps=850,
            continuity=1 - peer / 100,
            startup_ms=1_000 + peer,
        )
        for seq in range(4)
        for peer in range(30)
    ]


def exposed(url):
    with urlopen(f"{url}/metrics", timeout=20) as answer:
        lines = [line for line in answer.read().decode().splitlines() if not line.startswith("#")]
    return dict(line.rsplit(" ", 1) for line in lines)


def typed(url):
    with urlopen(f"{url}/metrics", timeout=20) as answer:
        return set(re.findall(r"^# TYPE (\S+)", answer.read().decode(), re.MULTILINE))


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    """A platform over recorded files, and its metrics once the first figures are there."""
    folder = tmp_path_factory.mktemp("audience")
    write_log(folder / "logs", audience())
    (folder / "rules.toml").write_text('[[rule]]\nname = "low"\nmeasure = "mos"\nbelow = 1.5\n')
    server = start_server(*("monitor", "--static", "logs", "--alerts", "rules.toml", "--listen", "127.0.0.1:0"), log=folder / "log")
    found = eventually(lambda: (known := exposed(server.url)) and "swarmscope_peers" in known and known, within_s=60)
    yield folder / "logs", found
    assert server.stop() == 0


def test_gauges_are_the_summarys_numbers_of_the_last_minute_in_base_units(running):
    logs, found = running
    with Locator() as locator:
        table = open_logs([logs], locator=locator, mos=MosModel())
        end_ms = BEGIN_MS + 3 * 30_000 + 29 * 500 + 1
        last = summarize(table, span=Span(end_ms - 60_000, end_ms), by=("isp",))
        table.close()
    assert float(found["swarmscope_peers"]) == last["peers"] == 30
    assert float(found["swarmscope_mos"]) == pytest.approx(last["mos"]["mean"])
    assert float(found["swarmscope_upload_bytes_per_second"]) == pytest.approx(last["upload_kbps"]["mean"] * 125)
    costs = {"duplicate_records": "duplicates", "conflicting_records": "conflicts"}
    costs |= {"lost_messages": "lost", "implausible_messages": "implausible"}
    assert {key: float(found[f"swarmscope_{name}"]) for name, key in costs.items()} == {key: last[key] for key in costs.values()}
    assert float(found["swarmscope_startup_seconds"]) == pytest.approx(last["startup_ms"]["mean"] / 1000)
    for group in last["groups"]:
        name = group["by"]["isp"]
        assert float(found[f'swarmscope_isp_continuity_ratio{{isp="{name}"}}']) == pytest.approx(group["continuity"]["mean"])


def test_a_name_from_an_end_host_is_escaped_in_a_label(running):
    _, found = running
    assert 'swarmscope_channel_peers{channel="頻道 \\"1\\"\\\\"}' in found


def test_the_grafana_dashboard_uses_only_existing_metrics(running, tmp_path):
    _, found = running
    live = start_server(
        *("monitor", "--feedback-server", "http://127.0.0.1:9", "--insecure", "--mirror", "mirror", "--listen", "127.0.0.1:0"),
        log=tmp_path / "live.log",
    )
    coordinator = start_server(
        *("coordinator", "--feedback-server", "http://127.0.0.1:9", "--insecure", "--listen", "127.0.0.1:0"),
        log=tmp_path / "coordinator.log",
    )
    # A counter by reason has a type, and no line as long as nothing has happened.
    names = {name.partition("{")[0] for name in found} | typed(live.url) | typed(coordinator.url)
    assert (live.stop(), coordinator.stop()) == (0, 0)
    # This one appears with the first measured message; the platform here has had none.
    names.add("swarmscope_monitor_display_delay_seconds")
    panels = json.loads(GRAFANA.read_text())["panels"]
    asked = [target["expr"] for panel in panels for target in panel.get("targets", ())]
    assert len(asked) > 10
    patterns = [pattern for each in asked for pattern in re.findall(r'__name__=~"([^"]+)"', each)]
    assert [pattern for pattern in patterns if not any(re.fullmatch(pattern, name) for name in names)] == []
    plain = [re.sub(r'__name__=~"[^"]+"', "", each) for each in asked]
    wanted = {name for each in plain for name in re.findall(r"swarmscope_[a-z0-9_]+", each)}
    assert sorted(wanted - names) == []


def test_losses_are_those_of_the_newest_minute_that_is_proved_and_later_gaps_are_late():
    newest = Span(600_000, 660_000)
    assert _span_of_gaps(newest, None) == newest
    assert _span_of_gaps(newest, 590_000) == Span(530_000, 660_000)
    assert _span_of_gaps(Span(6_000_000, 6_060_000), 0) == Span(6_060_000 - MOST_GRACE_MS - 60_000, 6_060_000)
