"""The export makes exact rows of a known capture and known events, loses no session, and gives the same bytes each time."""

import errno
import hashlib
import json
import os
import re
import resource
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

import swarmscope
from qoe_lab.dataset.export import export
from qoe_lab.dataset.invalid_session import SESSION_FILES, ExportReason
from qoe_lab.dataset.parquet_tables import read_table
from qoe_lab.player_events import PlayerEvent
from swarmscope.commands.lab_exporting import export as export_command
from tests.harness.processes import run_here
from tests.harness.rights import without_rights_of_root
from tests.qoe_lab.dataset.recorded_trainings import (
    BEGIN_MS,
    CLIENT,
    SERVER,
    TRAINING_ID,
    RecordedTrainingFolder,
    capture,
    usual_events,
    usual_segments,
    write_json,
)


@pytest.fixture
def training(tmp_path: Path) -> RecordedTrainingFolder:
    return RecordedTrainingFolder(tmp_path / "first")


def rows(training: RecordedTrainingFolder, table: str = "sessions") -> list[dict[str, Any]]:
    return read_table([training.path], table).to_pylist()


def only(training: RecordedTrainingFolder) -> dict[str, Any]:
    """The row of the only session."""
    [row] = rows(training)
    return row


# --- Values


def test_the_labels_of_a_session_are_those_of_its_events(training: RecordedTrainingFolder) -> None:
    training.add(0)
    counts = export(training.path)
    assert (counts.valid, counts.invalid, counts.slots, counts.flows, counts.events) == (1, {}, 4, 1, 13)
    row = only(training)
    expected = {"valid": True, "invalid_reason": None, "status": 1, "started": True, "startup_ms": 400, "watched_ms": 4000}
    expected |= {"stall_count": 1, "stall_ms": 1000, "longest_stall_ms": 1000, "stall_ratio": 1000 / 3600, "played_ms": 2600}
    expected |= {"switches": 1, "decoded_frames": 58, "dropped_frames": 2}
    expected |= {"mean_height": pytest.approx((240 * 1100 + 360 * 1500) / 2600), "limit_mbps": 1, "goodput_mbps": 0.955}
    expected |= {"server_requests": 2, "server_bytes": 13_000, "server_retransmissions": 1, "server_rtt_ms": 21}
    expected |= {"server_startup_ms": 271, "server_stall_count": 0, "stalls_only_player": 1, "stalls_only_server": 0}
    expected |= {"server_unacked": 0, "silent_end_s": 1}
    expected |= {"up_payload_bytes": 300, "down_payload_bytes": 14_200, "silent_stall_s": 1}
    expected |= {"frames": 30, "kernel_drops": 0, "queue_dropped_to_client": 1, "content_id": "drama", "split": "train"}
    assert {name: row[name] for name in expected} == expected


def test_the_mos_of_a_session_is_that_of_the_platform(training: RecordedTrainingFolder) -> None:
    training.add(0)
    export(training.path)
    row = only(training)
    kbps, continuity = row["mean_kbps"], 1 - row["stall_ratio"]
    bare = -5 * (1 - continuity) + 4 * (1 - 2.718281828459045 ** (-0.0015 * kbps)) + 1
    assert row["mos"] == pytest.approx(bare)


def test_a_slot_has_the_label_and_the_traffic_of_its_second(training: RecordedTrainingFolder) -> None:
    training.add(0)
    export(training.path)
    slots = rows(training, "slots")
    assert [slot["slot"] for slot in slots] == [0, 1, 2, 3]
    assert [slot["begin_ms"] for slot in slots] == [BEGIN_MS + 1000 * number for number in range(4)]
    assert [slot["state"] for slot in slots] == ["play", "stall", "play", "play"]
    assert [slot["stalled_ms"] for slot in slots] == [0, 800, 200, 0]
    assert [slot["height"] for slot in slots] == [240, 240, 360, 360]
    assert [slot["buffer_ms"] for slot in slots] == [450, 0, None, 900]
    # Ten segments of 1200 bytes and one more, the answer to the SYN, and an acknowledgement; each with 40 bytes of headers.
    assert [slot["down_bytes"] for slot in slots] == [11 * 1240 + 80, 0, 1040, 0]
    assert [slot["requests"] for slot in slots] == [1, 0, 1, 0]


def test_a_value_that_cannot_be_known_is_null_and_a_count_of_nothing_is_zero(training: RecordedTrainingFolder) -> None:
    training.add(0)
    export(training.path)
    silent = rows(training, "slots")[1]
    assert (silent["down_packets"], silent["requests"]) == (0, 0)
    assert (silent["rtt_avg_ms"], silent["down_packet_bytes"], silent["down_rexmit_pkts"]) == (None, None, None)


def test_a_flow_has_the_statistics_of_both_directions(training: RecordedTrainingFolder) -> None:
    training.add(0)
    export(training.path)
    [flow] = rows(training, "flows")
    expected = {"flow": 0, "protocol": "tcp", "client_port": 40_000, "server_port": 8000, "up_packets": 16, "down_packets": 14}
    expected |= {"up_data_bytes": 300, "down_data_bytes": 14_200, "down_unique_bytes": 13_000, "down_rexmit_pkts": 1}
    expected |= {"down_rexmit_bytes": 1200, "up_rtt_avg_ms": 25, "up_ttl_max": 64, "down_ttl_max": 63, "up_syn_count": 1}
    assert {name: flow[name] for name in expected} == expected


def test_events_of_the_player_and_the_server_are_ordered_by_time(training: RecordedTrainingFolder) -> None:
    training.add(0)
    export(training.path)
    events = rows(training, "events")
    times = [event["t_ms"] for event in events]
    assert times == sorted(times)
    requests = [event for event in events if event["witness"] == "server"]
    assert [(each["t_ms"], each["bytes"], each["http_status"], each["cmcd"]) for each in requests] == [
        (131, 12_000, 200, '{"bl": 0}'),
        (2111, 1000, 200, None),
    ]


def test_a_session_without_a_first_picture_is_valid_and_has_no_startup(training: RecordedTrainingFolder) -> None:
    waiting = [usual_events()[0], PlayerEvent(event="end", t_ms=3000)]
    training.add(0, events=waiting)
    assert export(training.path).valid == 1
    row = only(training)
    assert (row["started"], row["startup_ms"], row["stall_count"], row["stall_ratio"], row["mos"]) == (
        False,
        None,
        None,
        None,
        None,
    )
    assert [slot["state"] for slot in rows(training, "slots")] == ["startup"] * 3
    assert "| valid, but without a first picture | 1 |" in (training.path / "dataset" / "card.md").read_text()


def test_a_session_of_a_source_without_a_local_server_has_no_witness(training: RecordedTrainingFolder) -> None:
    folder = training.add(0)
    for name in ("server.jsonl", "tcp_info.jsonl", "shaping.json"):
        (folder / name).unlink()
    export(training.path)
    row = only(training)
    names = ("server_requests", "server_bytes", "server_retransmissions", "server_rtt_ms", "goodput_mbps")
    assert (row["valid"], *(row[name] for name in names)) == (True, None, None, None, None, None)


# --- Doubts


def steady(kbps: float = 30) -> list[PlayerEvent]:
    """Playback without a stall."""
    events = [event for event in usual_events() if not event.event.startswith("stall")]
    return [replace(event, kbps=kbps) if event.event == "switch" else event for event in events]


def test_a_session_whose_witnesses_agree_has_no_doubts(training: RecordedTrainingFolder) -> None:
    training.add(0, events=steady())
    export(training.path)
    assert only(training)["doubts"] is None


def test_a_stall_that_only_the_player_has_is_a_doubt_and_the_card_counts_it(training: RecordedTrainingFolder) -> None:
    training.add(0, events=[replace(event, kbps=30) if event.event == "switch" else event for event in usual_events()])
    export(training.path)
    row = only(training)
    assert (row["valid"], row["doubts"]) == (True, "stall_of_one_witness")
    printed = run_here("lab", "export", training.path).stdout
    assert "1 valid sessions, 0 others, 4 slots\ndoubt: stall_of_one_witness, 1; see card.md" in printed
    card = (training.path / "dataset" / "card.md").read_text()
    assert re.search(r"\| `stall_of_one_witness` \| .* \| 1 \|", card)
    assert "in the request log is 129 ms (median of 1 sessions)" in card


def test_a_player_that_claims_to_play_more_than_it_received_raises_a_doubt(training: RecordedTrainingFolder) -> None:
    training.add(0, events=steady(kbps=1000))
    training.add(1, events=steady(), segments=[])
    export(training.path)
    assert [row["doubts"] for row in rows(training)] == [
        "played_more_than_received",
        "played_more_than_received picture_without_traffic",
    ]


def test_a_picture_before_the_first_segment_raises_a_doubt(training: RecordedTrainingFolder) -> None:
    early = [replace(event, t_ms=150) if event.t_ms == 400 else event for event in steady() if event.event != "segment"]
    training.add(0, events=early)
    export(training.path)
    assert only(training)["doubts"] == "picture_before_first_segment"


def test_a_link_that_is_silent_at_the_end_while_the_server_waits_raises_a_doubt(training: RecordedTrainingFolder) -> None:
    longer = [replace(event, t_ms=9000) if event.event == "end" else event for event in steady(kbps=10)]
    for number in range(2):
        folder = training.add(number, events=longer)
        kernel = {"wall_ms": BEGIN_MS + 8000, "peer_port": 40_000, "unacked": 4 * number, "total_retrans": 0, "rtt_us": 1}
        (folder / "tcp_info.jsonl").write_text(json.dumps(kernel) + "\n")
    export(training.path)
    table = rows(training)
    assert [(row["silent_end_s"], row["server_unacked"]) for row in table] == [(6, 0), (6, 4)]
    assert ["silent_end" in (row["doubts"] or "").split() for row in table] == [False, True]


def test_a_long_stall_without_a_packet_raises_a_doubt(training: RecordedTrainingFolder) -> None:
    first, *_ = steady()
    frozen = [first, *(event for event in steady() if event.t_ms == 400)]
    frozen += [PlayerEvent(event="stall_begin", t_ms=2400), PlayerEvent(event="end", t_ms=10_000)]
    training.add(0, events=frozen)
    export(training.path)
    row = only(training)
    assert "silent_stall" in row["doubts"].split()
    assert row["silent_stall_s"] == 7


# --- No session is missing


DAMAGED = {
    ExportReason.SESSION_ABSENT: lambda folder: (folder / "session.json").unlink(),
    ExportReason.SESSION_DAMAGED: lambda folder: (folder / "session.json").write_text('{"number": '),
    ExportReason.RESULT_ABSENT: lambda folder: (folder / "result.json").unlink(),
    ExportReason.RESULT_DAMAGED: lambda folder: (folder / "result.json").write_text("[]"),
    ExportReason.SHAPING_DAMAGED: lambda folder: (folder / "shaping.json").write_text('{"goodput_mbps": "fast"}'),
    ExportReason.DISCARDED: lambda folder: write_json(folder / "result.json", {"status": 2, "valid": False}),
    ExportReason.EVENTS_ABSENT: lambda folder: (folder / "player.jsonl").unlink(),
    ExportReason.EVENTS_DAMAGED: lambda folder: (folder / "player.jsonl").write_text("[1]\n"),
    ExportReason.REQUESTS_DAMAGED: lambda folder: (folder / "server.jsonl").write_text('{"bytes": "many"}\n'),
    ExportReason.TCP_INFO_DAMAGED: lambda folder: (folder / "tcp_info.jsonl").write_text("{\n"),
    ExportReason.CAPTURE_ABSENT: lambda folder: (folder / "capture.pcap").unlink(),
    ExportReason.CAPTURE_CHANGED: lambda folder: (folder / "capture.pcap").write_bytes(b"another"),
}


def test_a_damaged_session_keeps_its_reason_and_does_not_change_the_others(training: RecordedTrainingFolder) -> None:
    for number, damage in enumerate(DAMAGED.values()):
        damage(training.add(number))
    training.add(len(DAMAGED))
    counts = export(training.path)
    assert counts.valid == 1
    assert counts.invalid == dict.fromkeys(DAMAGED, 1)
    assert [row["invalid_reason"] for row in rows(training)] == [*DAMAGED, None]
    assert all(row["invalid_detail"] for row in rows(training) if not row["valid"] and row["invalid_reason"] != "discarded")
    good = training.session_id(len(DAMAGED))
    for table in ("slots", "flows", "events"):
        assert {row["session_id"] for row in rows(training, table)} == {good}
    card = (training.path / "dataset" / "card.md").read_text()
    assert [reason for reason in DAMAGED if f"| not valid: `{reason}` | 1 |" not in card] == []


def test_a_capture_that_cannot_be_read_or_is_cut_in_the_middle_makes_its_session_not_valid(
    training: RecordedTrainingFolder,
) -> None:
    whole = capture(usual_segments())
    cut = whole[:700] + b"\xff" * 300 + whole[1000:]
    for number, data in enumerate((b"no capture at all, but text", cut)):
        folder = training.add(number, result={"pcap_sha256": hashlib.sha256(data).hexdigest()})
        (folder / "capture.pcap").write_bytes(data)
    assert export(training.path).invalid == {"capture_damaged": 2}


def test_the_reason_of_the_run_and_of_the_labels_are_kept(training: RecordedTrainingFolder) -> None:
    training.add(
        0, result={"status": 2, "valid": False, "invalid_reason": "capture_drops", "detail": "the kernel dropped 7 packets"}
    )
    training.add(1, events=usual_events()[:-1])
    training.add(
        2, events=[*usual_events()[:-1], PlayerEvent(event="error", t_ms=3900, detail="the decoder failed"), usual_events()[-1]]
    )
    export(training.path)
    found = [(row["status"], row["invalid_reason"], row["invalid_detail"]) for row in rows(training)]
    assert found == [
        (2, "capture_drops", "the kernel dropped 7 packets"),
        (1, "client_died", None),
        (1, "client_error", "the decoder failed"),
    ]


def test_a_session_that_only_the_journal_knows_has_its_number_and_status(training: RecordedTrainingFolder) -> None:
    training.tell(5, 0, attempt=1)
    training.tell(5, 2, attempt=1, reason="session_crashed")
    export(training.path)
    row = only(training)
    assert (row["number"], row["attempt"], row["status"], row["valid"]) == (5, 1, 2, False)
    assert row["invalid_reason"] == "session_absent"


def test_a_training_that_has_not_begun_has_empty_tables(training: RecordedTrainingFolder) -> None:
    assert export(training.path).valid == 0
    assert [len(swarmscope.open_training(training.path, table=table)) for table in ("sessions", "slots", "trainings")] == [0, 0, 1]


WRONG_VALUES = [
    ("session.json", {"limit_mbps": "fast"}),
    ("session.json", {"limit_mbps": True}),
    ("session.json", {"number": 1.5}),
    ("session.json", {"number": 10**30}),
    ("session.json", {"content_id": 7}),
    ("session.json", {"client_address": "nowhere"}),
    ("session.json", {"content_id": "\ud800"}),
    ("session.json", {"limit_mbps": 10**30}),
    ("session.json", {"begin_ms": [1]}),
    ("result.json", {"frames": {}}),
    ("result.json", {"valid": "yes"}),
    ("result.json", {"pcap_sha256": 1}),
]


@pytest.mark.parametrize(("name", "change"), WRONG_VALUES, ids=lambda each: str(each))
def test_a_value_of_another_type_makes_its_session_not_valid(
    training: RecordedTrainingFolder, name: str, change: dict[str, object]
) -> None:
    folder = training.add(0)
    values = json.loads((folder / name).read_text())
    write_json(folder / name, values | change)
    [reason] = export(training.path).invalid
    assert reason == f"{name.partition('.')[0]}_damaged"


WRONG_EVENTS = [
    '{"event": "sample", "t_ms": "soon"}',
    '{"event": "sample", "t_ms": null}',
    '{"event": "sample", "t_ms": 1, "buffer_ms": "full"}',
    '{"event": "sample", "t_ms": 1, "height": 240.5}',
    '{"event": "sample", "t_ms": NaN}',
    '{"event": "sample", "t_ms": 1e300}',
    '{"event": "sample", "t_ms": -1}',
    '{"event": "sample", "t_ms": 1, "bytes": 1e300}',
    '{"event": "party", "t_ms": 1}',
    '{"event": "sample", "t_ms": 1, "colour": "red"}',
    "null",
]


@pytest.mark.parametrize("line", WRONG_EVENTS)
def test_an_event_with_wrong_values_makes_its_session_not_valid(training: RecordedTrainingFolder, line: str) -> None:
    folder = training.add(0)
    first, *others = usual_events()
    (folder / "player.jsonl").write_text(first.line() + line + "\n" + "".join(event.line() for event in others))
    assert export(training.path).invalid == {"events_damaged": 1}


def test_texts_of_several_lines_and_with_bars_do_not_break_the_card(training: RecordedTrainingFolder) -> None:
    training.add(0, content_id="a | b", result={"detail": "two\nlines"})
    training.add(1, result={"valid": False, "invalid_reason": "a\n|b", "detail": "two\nlines"})
    export(training.path)
    assert [row["invalid_detail"] for row in rows(training)] == [None, "two\nlines"]
    card = (training.path / "dataset" / "card.md").read_text()
    assert "| not valid: `a \\|b` | 1 |" in card
    assert "| a \\| b |" in card


def no_file(path: Path, kind: str) -> None:
    path.unlink()
    match kind:
        case "folder":
            path.mkdir()
        case "pipe":
            os.mkfifo(path)
        case "link to itself":
            path.symlink_to(path.name)


@pytest.mark.parametrize("kind", ["folder", "pipe", "link to itself"])
def test_what_is_no_file_makes_its_session_not_valid_and_hides_no_other(training: RecordedTrainingFolder, kind: str) -> None:
    for number, name in enumerate(SESSION_FILES):
        no_file(training.add(number) / name, kind)
    training.add(len(SESSION_FILES))
    counts = export(training.path)
    assert (counts.valid, counts.invalid) == (1, dict.fromkeys(SESSION_FILES.values(), 1))


@pytest.mark.parametrize("name", ["session.json", "player.jsonl", "server.jsonl", "tcp_info.jsonl"])
def test_json_that_is_nested_too_deeply_makes_its_session_not_valid(training: RecordedTrainingFolder, name: str) -> None:
    (training.add(0) / name).write_text("[" * 100_000 + "\n")
    assert export(training.path).invalid == {SESSION_FILES[name]: 1}


def test_no_damage_of_any_file_ends_the_export(training: RecordedTrainingFolder) -> None:
    """Random bytes are changed, inserted and removed. The whole session stays as it is."""
    random = Random(14)
    for number in range(36):
        files = sorted(training.add(number).iterdir())
        path = files[number % len(files)]
        path.write_bytes(damaged(path.read_bytes(), random))
    training.add(36)
    export(training.path)
    valid = [row["valid"] for row in rows(training)]
    assert len(valid) == 37
    assert valid[-1]
    assert sum(valid) < 20


def damaged(whole: bytes, random: Random) -> bytes:
    data = bytearray(whole)
    for _ in range(random.randint(1, 4)):
        place = random.randrange(len(data) + 1)
        match random.randrange(3):
            case 0:
                data[place : place + 1] = random.randbytes(1)
            case 1:
                data[place:place] = random.randbytes(random.randint(1, 20))
            case 2:
                del data[place : place + random.randint(1, 50)]
    return bytes(data)


# --- The data set as a whole


def digest(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def test_the_same_folder_gives_the_same_bytes(training: RecordedTrainingFolder, tmp_path: Path) -> None:
    training.add(0)
    training.add(1, content_id="game", events=usual_events()[:-1])
    export(training.path)
    first = digest(training.path / "dataset")
    shutil.copytree(training.path, tmp_path / "copy")
    export(tmp_path / "copy")
    export(training.path)
    assert set(first) == {
        *("card.md", "events.parquet", "flows.parquet", "sessions.csv", "sessions.parquet", "slots.parquet", "trainings.parquet")
    }
    assert digest(training.path / "dataset") == digest(tmp_path / "copy" / "dataset") == first


def test_nothing_but_the_data_set_and_the_key_is_left_in_the_folder(training: RecordedTrainingFolder) -> None:
    before = {path.name for path in training.path.iterdir()}
    for _ in range(2):
        export(training.path)
    assert {path.name for path in training.path.iterdir()} - before == {"address-key", "dataset"}


def test_a_failed_export_keeps_the_earlier_data_set(training: RecordedTrainingFolder) -> None:
    training.add(0)
    export(training.path)
    before = digest(training.path / "dataset")
    with (training.path / "sessions.jsonl").open("a") as file:
        file.write("no JSON\n")
    with pytest.raises(ValueError, match=r"sessions.jsonl is damaged: line 2"):
        export(training.path)
    assert digest(training.path / "dataset") == before
    assert not list(training.path.glob(".dataset-*"))


def test_an_export_that_was_killed_leaves_nothing_behind_and_loses_no_data_set(training: RecordedTrainingFolder) -> None:
    """It may be killed before the new data set is complete, and between the two renames that put it into its place."""
    training.add(0)
    export(training.path)
    before = digest(training.path / "dataset")
    for name in ("new", "earlier"):
        killed = training.path / f".dataset-{name}"
        killed.mkdir()
        shutil.copytree(training.path / "dataset", killed / name)
    (training.path / ".dataset-new" / "new" / "sessions.parquet").write_bytes(b"PAR1")
    shutil.rmtree(training.path / "dataset")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("qoe_lab.dataset.export.data_card", no_room)
        with pytest.raises(OSError, match="No space left"):
            export(training.path)
    assert digest(training.path / "dataset") == before
    assert not list(training.path.glob(".dataset-*"))


def no_room(*_arguments: object) -> str:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.fixture
def refusal(
    training: RecordedTrainingFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Callable[[], str]]:
    """The only line of a `lab export` that fails. It leaves no draft behind, and the earlier data set as it was."""
    training.add(0)
    export(training.path)
    (training.path / "address-key").chmod(0o644)
    before = digest(training.path / "dataset")
    training.path.parent.chmod(0o755)
    monkeypatch.chdir(training.path.parent)

    def refusal() -> str:
        with pytest.raises(SystemExit) as ended:
            export_command(training.path.name)
        printed = capsys.readouterr()
        assert (bool(ended.value.code), printed.out) == (True, "")
        [line] = printed.err.splitlines()
        return line

    yield refusal
    assert not list(training.path.glob(".dataset-*"))
    assert digest(training.path / "dataset") == before


@pytest.mark.parametrize("size", [0, 3000])
def test_a_full_disk_is_one_clear_line_with_the_folder(refusal: Callable[[], str], size: int) -> None:
    """A limit of the size of files, as no test can fill a disk."""
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limit[1]))
    try:
        line = refusal()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert line == "swarmscope: first: File too large; no data set was written"


def test_a_folder_that_may_not_be_written_is_one_clear_line(refusal: Callable[[], str], training: RecordedTrainingFolder) -> None:
    training.path.chmod(0o555)
    with without_rights_of_root():
        line = refusal()
    assert re.fullmatch(r"swarmscope: \S*first/\.dataset-\w+: permission denied; change its permissions, .*", line)
    training.path.chmod(0o755)


def test_a_data_set_that_may_not_be_replaced_is_one_clear_line(
    refusal: Callable[[], str], training: RecordedTrainingFolder
) -> None:
    training.path.chmod(0o777)
    (training.path / "dataset").chmod(0o555)  # to move a folder, its owner must be allowed to write in it
    with without_rights_of_root():
        line = refusal()
    assert line.startswith("swarmscope: first/dataset: permission denied; change its permissions, ")


@pytest.mark.parametrize("name", SESSION_FILES)
def test_a_file_that_this_user_may_not_read_is_one_clear_line(
    refusal: Callable[[], str], training: RecordedTrainingFolder, name: str
) -> None:
    """The session is not declared damaged: its data set can be made by a user with more rights."""
    training.path.chmod(0o777)
    (training.folder(0) / name).chmod(0)
    with without_rights_of_root():
        line = refusal()
    assert line.startswith(f"swarmscope: first/sessions/{training.session_id(0)}/{name}: permission denied; change its permissions")


def test_a_link_that_leads_nowhere_is_replaced_by_the_data_set(training: RecordedTrainingFolder) -> None:
    training.add(0)
    (training.path / "dataset").symlink_to(training.path / "nowhere")
    export(training.path)
    assert only(training)["valid"]
    assert not list(training.path.glob(".dataset-*"))


def test_no_file_of_a_data_set_contains_an_address(training: RecordedTrainingFolder) -> None:
    training.add(0)
    export(training.path)
    row, [flow] = only(training), rows(training, "flows")
    assert (flow["client"], flow["server"]) == (row["client_address"], row["server_address"])
    assert len({flow["client"], flow["server"]}) == 2
    for table in ("trainings", "sessions", "slots", "flows", "events"):
        assert not {CLIENT, SERVER} & {str(value) for each in rows(training, table) for value in each.values()}
    for path in (training.path / "dataset").iterdir():
        assert CLIENT.encode() not in path.read_bytes()
    assert (training.path / "address-key").stat().st_mode & 0o077 == 0


def test_another_training_hashes_the_same_address_to_another_value(training: RecordedTrainingFolder, tmp_path: Path) -> None:
    other = RecordedTrainingFolder(tmp_path / "second")
    for each in (training, other):
        each.add(0)
        export(each.path)
    assert only(training)["client_address"] != only(other)["client_address"]


def test_no_content_and_no_session_is_in_two_splits(training: RecordedTrainingFolder) -> None:
    for number, content in enumerate(["lecture", "drama", "nature", "game", "football", "concert"] * 3):
        training.add(number, content_id=content)
    export(training.path)
    table = rows(training)
    assert {row["split"] for row in table} == {"train", "val", "test"}
    for identity in ("content_id", "session_id"):
        assert all(
            len({row["split"] for row in table if row[identity] == value}) == 1 for value in {row[identity] for row in table}
        )
    of_session = {row["session_id"]: row["split"] for row in table}
    assert all(slot["split"] == of_session[slot["session_id"]] for slot in rows(training, "slots"))


def test_a_training_of_one_content_warns_that_a_split_is_empty(training: RecordedTrainingFolder) -> None:
    training.add(0, content_id="drama")
    export(training.path)
    assert "**No session is in val and test**" in (training.path / "dataset" / "card.md").read_text()


def test_the_row_of_the_training_counts_its_sessions(training: RecordedTrainingFolder) -> None:
    training.add(0)
    training.add(1, events=[])
    export(training.path)
    [row] = rows(training, "trainings")
    assert (row["training_id"], row["sessions_planned"], row["sessions_valid"], row["sessions_invalid"]) == (TRAINING_ID, 4, 1, 1)
    assert (row["limits_mbps"], row["begin_ms"], row["end_ms"]) == ([0.5, 1, 3], BEGIN_MS - 5, BEGIN_MS + 4005)
    assert json.loads(row["environment"])["kernel"] == "6.18"


def test_a_folder_without_a_training_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"it has no training.json"):
        export(tmp_path)
    (tmp_path / "training.json").write_text("{")
    with pytest.raises(ValueError, match=r"training.json is damaged"):
        export(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} <= {"training.json"}


def test_the_progress_is_reported_after_each_session(training: RecordedTrainingFolder) -> None:
    for number in range(3):
        training.add(number)
    reported: list[tuple[int, int]] = []
    export(training.path, progress=lambda done, of: reported.append((done, of)))
    assert reported == [(1, 3), (2, 3), (3, 3)]
