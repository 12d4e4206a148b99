"""`swarmscope analyze` as people and scripts use it."""

import csv
import io
import json

import pytest

from feedback_analysis.moments import unix_ms
from feedback_wire.log_name import Form
from tests.harness.logs import BEGIN_MS, record, write_log
from tests.harness.processes import run_here, run_swarmscope

RECORDS = [
    record(
        seq=seq, peer_id=peer, session_id=peer, channel=channel, received_ms=BEGIN_MS + seq * 1000, upload_kbps=100.1 * (seq + 1)
    )
    for peer, channel in (("a", "[red]1"), ("b", "2"))
    for seq in range(10)
]


def analyze(*arguments):
    return run_swarmscope("analyze", *arguments, env={"COLUMNS": "100"})


def test_analyze_prints_the_same_bytes_for_any_form_and_any_split_into_logs(tmp_path):
    answers = set()
    for form in Form:
        folder = tmp_path / form
        for part in range(3):
            write_log(folder, RECORDS[part::3], form)
        answers.add(analyze(folder, "--json", "--by", "channel").stdout)
    [answer] = answers
    assert json.loads(answer)["messages"] == 20


def test_groups_are_given_with_commas_or_as_repeated_options(tmp_path):
    write_log(tmp_path, RECORDS)
    one, other = (analyze(tmp_path, "--json", *by) for by in (["--by", "channel,isp"], ["--by", "channel", "--by", "isp"]))
    assert one.stdout == other.stdout
    assert [list(group["by"]) for group in json.loads(one.stdout)["groups"]] == [["channel", "isp"]] * 2


def test_where_restricts_the_records_and_may_be_repeated(tmp_path):
    sent = [record(seq=seq, channel=channel, extra={"level=a": seq % 3}) for seq in range(12) for channel in "ab"[seq % 2]]
    write_log(tmp_path, sent)
    answer = analyze(tmp_path, "--json", "--where", "channel=a", "--where", "extra.level=a=1")
    assert answer.returncode == 1, "the name ends at the first equals sign"
    assert "no records in" in answer.stderr
    assert "with channel=a, extra.level=a=1" in answer.stderr
    write_log(tmp_path, [each | {"session_id": "t", "extra": {"level": each["seq"] % 3}} for each in sent])
    assert json.loads(analyze(tmp_path, "--json", "--where", "channel=a").stdout)["messages"] == 12
    both = analyze(tmp_path, "--json", "--where", "channel=a", "--where", "extra.level=1")
    assert json.loads(both.stdout)["messages"] == 2


def test_a_span_is_accepted_in_both_formats_of_times(tmp_path):
    write_log(tmp_path, RECORDS)
    one = analyze(tmp_path, "--json", "--from", "2012-08-07T09:30:02Z", "--to", "2012-08-07T17:30:05+08:00")
    other = analyze(tmp_path, "--json", "--from", BEGIN_MS + 2000, "--to", BEGIN_MS + 5000)
    assert one.stdout == other.stdout
    sent = json.loads(one.stdout)
    assert (sent["from"], sent["to"], sent["messages"]) == (BEGIN_MS + 2000, BEGIN_MS + 5000, 6)


def test_an_open_end_is_the_end_of_the_records(tmp_path):
    write_log(tmp_path, RECORDS)
    sent = json.loads(analyze(tmp_path, "--json", "--from", BEGIN_MS + 5000).stdout)
    assert (sent["from"], sent["to"], sent["messages"]) == (BEGIN_MS + 5000, BEGIN_MS + 9001, 10)


def test_sort_lists_the_worst_groups_and_all_others_exactly(tmp_path):
    sent = [
        record(
            peer_id=f"{isp}{at}",
            session_id=f"{isp}{at}",
            isp=isp,
            seq=seq,
            stall_ms=seq * worse,
            played_ms=seq * 1000,
            stall_count=seq,
        )
        for isp, worse, sessions in (("good", 1, 5), ("bad", 500, 3), ("fair", 100, 4), ("tiny", 900, 1))
        for at in range(sessions)
        for seq in range(2)
    ]
    write_log(tmp_path, sent)
    chosen = ["--json", "--by", "isp", "--sort", "rebuffering_ratio", "--top", "2", "--min-n", "2"]
    worst = json.loads(analyze(tmp_path, *chosen).stdout)
    assert [group["by"]["isp"] for group in worst["groups"]] == ["bad", "fair", "(other)"]
    assert worst["groups_left_out"] == 2
    rest = worst["groups"][2]
    assert (rest["sessions"], rest["stalls"]) == (6, 6)
    assert rest["rebuffering_ratio"] == pytest.approx(905 / (905 + 6000))
    assert worst["rebuffering_ratio"] == pytest.approx((905 + 1500 + 400) / (905 + 1900 + 13000))


def test_a_time_without_records_says_when_the_logs_begin(tmp_path):
    write_log(tmp_path, RECORDS)
    answer = analyze(tmp_path, "--from", "2030-01-01T00:00Z")
    assert answer.returncode == 1
    assert "within that time; the logs begin at 2012-08-07T09:30:00Z" in answer.stderr


def test_the_period_is_read_from_the_records(tmp_path):
    def joined(peer, *seconds):
        return [
            record(peer_id=peer, session_id=peer, seq=seq, event="report" if seq else "join", received_ms=BEGIN_MS + at * 1000)
            for seq, at in enumerate(seconds)
        ]

    write_log(tmp_path, [*joined("a", 0, 5, 10, 15), *joined("b", 14, 19)])
    assert json.loads(analyze(tmp_path, "--json").stdout)["starts"] == 1
    assert json.loads(analyze(tmp_path, "--json", "--period", "30").stdout)["starts"] == 0


def test_csv_has_a_line_for_the_total_and_one_for_each_group(tmp_path):
    write_log(tmp_path, RECORDS)
    lines = list(csv.DictReader(io.StringIO(analyze(tmp_path, "--csv", "--by", "channel").stdout)))
    assert [(line["channel"], line["messages"]) for line in lines] == [("", "20"), ("2", "10"), ("[red]1", "10")]
    assert lines[0]["upload_kbps_p50"] == "500.5"


def test_the_table_shows_names_as_plain_text(tmp_path):
    write_log(tmp_path, RECORDS)
    answer = analyze(tmp_path, "--by", "channel")
    assert (answer.returncode, answer.stderr) == (0, "")
    assert "messages 20" in answer.stdout
    assert "[red]1" in answer.stdout


def test_damage_is_reported_with_file_and_offset_in_addition_to_the_answer(tmp_path):
    path = write_log(tmp_path, RECORDS, Form.JOURNAL, frames=4)
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)
    answer = analyze(tmp_path, "--json")
    assert json.loads(answer.stdout)["messages"] == 15
    assert f"damaged: {path}, byte " in answer.stderr


def test_the_report_is_one_page(tmp_path):
    write_log(tmp_path, RECORDS)
    page = tmp_path / "report.html"
    answer = analyze(tmp_path, "--html", page)
    assert (answer.returncode, answer.stderr) == (0, "")
    assert page.read_text().startswith("<!DOCTYPE html>")


@pytest.mark.parametrize(
    ("arguments", "expected_text"),
    [
        (["--from", "soon"], "'soon' is not a time"),
        (["--by", "nope"], "choose from channel, isp"),
        (["--where", "shoe_size=43"], "choose from channel, isp"),
        (["--where", "channel"], "it needs a name and a value"),
        (["--where", "channel=a", "--where", "channel=b"], "contains channel twice"),
        (["--from", "2012-08-08", "--to", "2012-08-07"], "--from 2012-08-08 is after --to 2012-08-07"),
        (["--json", "--csv"], "use only one of them"),
        (["--html", "nowhere/report.html"], "no folder nowhere"),
        (["--period", "0"], "--period is 0"),
        (["--mos-lambda", "0"], "--mos-lambda is 0"),
        (["--geo-city", "/nowhere.mmdb"], "does not exist"),
    ],
)
def test_an_invalid_query_exits_with_2_and_a_reason(arguments, expected_text, tmp_path):
    write_log(tmp_path, RECORDS)
    answer = run_here("analyze", tmp_path, *arguments)
    assert (answer.returncode, answer.stdout) == (2, "")
    assert expected_text in answer.stderr
    assert "Traceback" not in answer.stderr


@pytest.mark.parametrize("arguments", [[], ["--from", "2030-01-01"]])
def test_an_answer_without_a_record_exits_with_1(arguments, tmp_path):
    if arguments:
        write_log(tmp_path, RECORDS)
    answer = analyze(tmp_path, *arguments)
    assert (answer.returncode, answer.stdout) == (1, "")
    assert "no records in" in answer.stderr


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("1344331800000", BEGIN_MS),
        ("2012-08-07T09:30Z", BEGIN_MS),
        ("2012-08-07 09:30:00.5", BEGIN_MS + 500),
        ("20120807", 1_344_297_600_000),
    ],
)
def test_moments_are_iso_8601_or_unix_milliseconds(text, moment):
    assert unix_ms(text) == moment


def test_unreadable_records_are_reported_with_the_invalid_field(tmp_path):
    good = record(seq=0)
    lines = [good, good | {"seq": "x"}, good | {"seq": -1}, good | {"event": "party"}, "no record"]
    (tmp_path / "odd.jsonl").write_text("".join(json.dumps(each) + "\n" for each in lines) + "{broken\n")
    reasons = ("seq is missing or invalid (2)", "the line is not a JSON object (2)", "event is missing or invalid (1)")
    expected = f"5 records could not be read: {'; '.join(reasons)}"
    assert expected in analyze(tmp_path / "odd.jsonl").stderr
    assert expected in analyze(tmp_path / "odd.jsonl", "--sessions", "--csv").stderr
    (tmp_path / "one.jsonl").write_text("{broken\n")
    assert "1 record could not be read: the line is not a JSON object (1)" in analyze(tmp_path / "one.jsonl").stderr


def test_times_of_receipt_in_seconds_give_a_warning(tmp_path):
    (tmp_path / "seconds.jsonl").write_text(json.dumps(record(received_ms=1_700_000_000)) + "\n")
    sent = analyze(tmp_path / "seconds.jsonl").stderr
    assert "warning: according to its received_ms, the first record is from 1970-01-20" in sent
    assert "multiply them by 1000" in sent
    (tmp_path / "good.jsonl").write_text(json.dumps(record()) + "\n")
    assert analyze(tmp_path / "good.jsonl").stderr == ""
