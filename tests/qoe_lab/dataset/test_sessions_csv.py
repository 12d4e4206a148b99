"""The CSV file has the label manager's columns, each with the statistic that it names: a known capture gives a known line."""

import csv
from pathlib import Path

import pytest

from qoe_lab.dataset.export import export
from qoe_lab.dataset.label_manager_csv import WRITTEN
from qoe_lab.dataset.sessions_csv import HEADER
from qoe_lab.traffic.capture_reader import CaptureReader
from qoe_lab.traffic.flow_table import FlowTable
from qoe_lab.traffic.label_manager_columns import LABEL_MANAGER_COLUMNS, label_manager_row
from tests.qoe_lab.dataset.recorded_trainings import RecordedTrainingFolder, usual_events

_KNOWN = """
    id=1 bw=1 duration=20 packets=16 data_pkts=2 data_bytes=300 rexmit_pkts=0 rexmit_bytes=0 rtt_avg=25 rtt_min=20
    rtt_max=30 stdev_rtt=5 rtt_count=2 ttl_min=64 ttl_max=64 max_seg_size=200 min_seg_size=100 win_max=500 win_min=500
    rtx_RTO=0 rtx_FR=0 reordering=0 net_dup=0 flow_control=0 unnece_rtx_RTO=0 unnece_rtx_FR=0 stallCount=1
    qualityChanges=1 skippedFrames=2 fpsChanges= twitch_backend= down_packets=14 down_data_pkts=12 down_data_bytes=14200
    down_rexmit_pkts=1 down_rexmit_bytes=1200 down_rtt_avg=1 down_rtt_min=1 down_rtt_max=1 down_stdev_rtt=0
    down_rtt_count=11 down_ttl_min=63 down_ttl_max=63 down_max_seg_size=1200 down_min_seg_size=1000 down_win_max=500
    down_win_min=500 down_rtx_RTO=0 down_rtx_FR=0 down_reordering=0 down_net_dup=0 down_flow_control=0
    down_unnece_rtx_RTO=1 down_unnece_rtx_FR=0 valid=1 invalid_reason= split=train block=0 attempt=1 source=hls
    client=headless content_id=drama started=1 startup_ms=400 stall_ms=1000
"""
KNOWN = dict(each.split("=") for each in _KNOWN.split())


@pytest.fixture
def training(tmp_path: Path) -> RecordedTrainingFolder:
    return RecordedTrainingFolder(tmp_path / "first")


def lines(training: RecordedTrainingFolder) -> list[dict[str, str]]:
    with (training.path / "dataset" / "sessions.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_known_capture_gives_a_known_line(training: RecordedTrainingFolder) -> None:
    training.add(0)
    export(training.path)
    [line] = lines(training)
    assert {name: line[name] for name in KNOWN} == KNOWN
    further = {"session_id", "training_id", "stall_ratio", "mean_kbps", "mean_height", "mos"}
    assert set(line) - set(KNOWN) == further
    assert all(line[name] for name in further)


def test_the_label_manager_s_columns_come_first_also_those_that_its_files_lack() -> None:
    assert set(WRITTEN) < set(HEADER)
    assert set(HEADER[: HEADER.index("twitch_backend") + 1]) - set(WRITTEN) == {"unnece_rtx_FR"}
    assert len(set(HEADER)) == len(HEADER)


def test_the_statistics_are_those_that_qoe_lab_traffic_computes(training: RecordedTrainingFolder) -> None:
    folder = training.add(0)
    export(training.path)
    [line] = lines(training)
    table = FlowTable()
    for packet in CaptureReader(folder / "capture.pcap"):
        table.add(packet)
    computed = label_manager_row(table.flows())
    assert {column.name: float(line[column.name]) for column in LABEL_MANAGER_COLUMNS} == computed


def test_a_session_without_traffic_has_empty_cells_and_no_zeros(training: RecordedTrainingFolder) -> None:
    training.add(0, segments=[], events=[*usual_events()])
    export(training.path)
    [line] = lines(training)
    assert {line[column.name] for column in LABEL_MANAGER_COLUMNS} == {""}
    assert (line["valid"], line["stallCount"]) == ("1", "1")


def test_a_session_that_is_not_valid_has_its_reason_and_empty_labels(training: RecordedTrainingFolder) -> None:
    (training.add(0) / "capture.pcap").unlink()
    export(training.path)
    [line] = lines(training)
    assert (line["valid"], line["invalid_reason"], line["packets"]) == ("0", "capture_absent", "")
