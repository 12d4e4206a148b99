"""The live table keeps within its budgets of names and its bounds of memory, and reports what it left out."""

import json
import random
from collections.abc import Callable, Iterator
from contextlib import closing

import duckdb
import pytest

from feedback_analysis.messages import live_table
from feedback_analysis.messages.budgets import DEFAULTS, Budgets, budgets_of
from feedback_analysis.messages.kept_names import SURE, Names, NameUse
from feedback_analysis.messages.live_table import Bounds, LiveTable
from feedback_analysis.quality.mos import MosModel
from tests.harness.logs import BEGIN_MS, add, record, write_log

MINUTE_MS = 60_000
SMALL = {"channel": 3, "isp": 3, "app": 3, "platform": 3, "extra_names": 3, "extra_values": 3, "extra_bytes": 200}


@pytest.fixture
def live(locator, tmp_path) -> Iterator[Callable[..., LiveTable]]:
    tables: list[LiveTable] = []

    def live(*logs, most=SMALL, **bounds) -> LiveTable:
        table = LiveTable(locator, MosModel(), budgets=Budgets(most=most), bounds=Bounds(**bounds))
        tables.append(table)
        for records in logs:
            add(table, write_log(tmp_path, records))
        return table

    yield live
    for table in tables:
        table.close()


def crowd(channel: str, networks: int, *, first: int = 0, **fields) -> list[dict]:
    """A message of `channel` from each of so many networks."""
    return [
        record(
            session_id=f"{channel}-{at}",
            peer_id=f"{channel}-{at}",
            ip=f"10.{first + at // 256}.{at % 256}.0",
            channel=channel,
            **fields,
        )
        for at in range(networks)
    ]


def values(table: LiveTable, column: str) -> dict[str, int]:
    with table.reading() as cursor:
        return dict(cursor.execute(f"SELECT {column}, count(*) FROM feedback GROUP BY 1").fetchall())


def extras(table: LiveTable) -> list[dict]:
    with table.reading() as cursor:
        return [json.loads(text) for (text,) in cursor.execute("SELECT extra FROM feedback ORDER BY seq").fetchall()]


@pytest.mark.parametrize("name", ["channel", "isp", "app", "platform"])
def test_names_beyond_the_budget_become_other_and_are_counted(live, name):
    table = live([record(session_id=f"s{at}", **{name: f"made up {at}"}) for at in range(100)])
    found = values(table, name)
    assert found.pop("(other)") == table.budgets.left_out[name] == 97
    assert (len(found), sum(found.values())) == (3, 3)


def test_a_missing_value_takes_no_part_of_the_budget(live):
    table = live([record(session_id=f"s{at}", channel=(at and f"c{at}") or None) for at in range(4)])
    assert values(table, "channel") == {"unknown": 1, "c1": 1, "c2": 1, "c3": 1}


def test_a_sender_that_uses_up_the_budget_is_replaced_by_an_audience(live):
    made_up = [record(session_id=f"m{at}", channel=f"made up {at}") for at in range(100)]
    table = live(made_up, crowd("Olympics", 40))
    found = values(table, "channel")
    assert found["Olympics"] == 40
    assert len(found) == 4
    assert found["(other)"] == 98 == table.budgets.left_out["channel"]


def test_an_audience_is_not_replaced_by_invented_names(live):
    made_up = [record(session_id=f"m{at}", peer_id=f"m{at}", channel=f"made up {at % 50}") for at in range(1000)]
    table = live(crowd("a", 40), crowd("b", 40), crowd("c", 40), made_up)
    assert values(table, "channel") == {"a": 40, "b": 40, "c": 40, "(other)": 1000}


def test_names_that_left_the_window_make_room(live, tmp_path):
    table = live([record(session_id=f"m{at}", channel=f"old {at}") for at in range(3)])
    table.drop_before(BEGIN_MS + 1)
    add(table, write_log(tmp_path, [record(session_id="new", channel="new", received_ms=BEGIN_MS + 1)]))
    assert values(table, "channel") == {"new": 1}


def test_extra_keeps_its_budget_of_names_texts_and_bytes(live):
    fields = [{"codec": f"codec {at % 20}", "level": at, f"made up {at}": 1} for at in range(20)]
    fields.append({"codec": "x" * 150, "note": "y" * 100})
    table = live(
        crowd("a", 30, extra={"codec": "h264", "level": 0.5}),
        [record(session_id="s", seq=at, extra=each) for at, each in enumerate(fields)],
    )
    kept = [each for each in extras(table) if each.get("codec") != "h264"]
    assert len(set().union(*kept)) == 3
    assert {each["codec"] for each in kept} - {"(other)"} < {f"codec {at}" for at in range(20)} | {"x" * 150}
    assert len({each["codec"] for each in kept}) == 3
    assert {each["level"] for each in kept if "level" in each} == set(range(20)), "numbers are measured, not names"
    assert "note" not in kept[-1]
    assert table.budgets.left_out["extra_names"] == 19
    assert table.budgets.left_out["extra_values"] == 19
    assert table.budgets.left_out["extra_bytes"] == 1


def test_within_the_budgets_nothing_changes(live, table_of):
    fields = crowd("a", 3, isp="i", app="p", platform="q", extra={"z": "x", 'a/~"': 1.50, "list": [1, {"a": None}]})
    with live(fields).reading() as live_cursor, table_of(fields).reading() as cursor:
        query = "SELECT * EXCLUDE shown_ms FROM feedback ORDER BY session_id"
        assert live_cursor.execute(query).fetchall() == cursor.execute(query).fetchall()


def test_a_name_is_replaced_only_by_one_from_more_networks():
    names = Names(1)
    names.add([NameUse(name="a", networks=["1", "2"], last_ms=1)])
    assert names.add([NameUse(name="b", networks=list("1234"), last_ms=1)]).left_out == {"b"}
    decision = names.add([NameUse(name="b", networks=["5"], last_ms=1)])
    assert (decision.left_out, decision.given_up) == (frozenset(), {"a"})
    assert names.add([NameUse(name="a", networks=list("123456789"), last_ms=1)]).left_out == {"a"}


def test_each_new_name_replaces_the_weakest_kept_name_if_it_has_more_than_twice_its_networks():
    chance = random.Random(24)
    for _ in range(300):
        names, kept = Names(3), {}
        for step in range(6):
            uses = {f"{step}-{number}": chance.randrange(1, 12) for number in range(chance.randrange(5))}
            decision = names.add(
                NameUse(name=name, networks={f"{name}-{network}" for network in range(count)}, last_ms=step)
                for name, count in uses.items()
            )
            replaced = set()
            for name in sorted(uses, key=lambda name: (-uses[name], name)):
                weakest = min(kept, key=kept.__getitem__) if len(kept) == 3 else None
                if weakest is None or uses[name] > 2 * kept[weakest]:
                    kept.pop(weakest, None)
                    replaced |= {weakest} - {None}
                    kept[name] = uses[name]
            assert (decision.given_up, decision.left_out) == (replaced, uses.keys() - kept.keys())


def test_the_memory_for_names_is_bounded():
    chosen = random.Random(24)
    names = Names(10)
    for batch in range(50):
        heard = [
            NameUse(name=f"{batch}-{at}", networks=[str(chosen.random()) for _ in range(3)], last_ms=batch) for at in range(100)
        ]
        names.add([*heard, NameUse(name="real", networks=[str(chosen.random()) for _ in range(SURE)], last_ms=batch)])
    assert len(names) == 10
    assert len(names._waiting) <= 2 * 4 * 10 + 101
    assert names.add([NameUse(name="real", networks=["1"], last_ms=50)]).left_out == frozenset()


def test_beyond_the_message_limit_the_oldest_minutes_are_dropped_and_counted(live):
    table = live(
        *(
            [record(session_id=f"s{minute}", seq=at, received_ms=BEGIN_MS + minute * MINUTE_MS) for at in range(100)]
            for minute in range(12)
        ),
        rows=1_000,
    )
    assert table.dropped == 1200 - table.rows
    assert 700 <= table.rows <= 1_000
    with table.reading() as cursor:
        [(first, rows)] = cursor.execute("SELECT min(received_ms), count(*) FROM feedback").fetchall()
    assert rows == table.rows
    assert table.begins_ms <= first < table.begins_ms + MINUTE_MS


def test_memory_is_bounded_for_any_messages(live, tmp_path):
    chosen = random.Random(24)
    table = live(messages_mib=8)
    for minute in range(6):
        records = [
            record(
                session_id=chosen.randbytes(500).hex(),
                peer_id=chosen.randbytes(500).hex(),
                received_ms=BEGIN_MS + minute * MINUTE_MS,
            )
            for _ in range(1_500)
        ]
        add(table, write_log(tmp_path, records))
        assert table.memory_bytes() <= 8 * 2**20
    assert table.dropped > 0
    assert table.unreadable == 0
    assert table.rows == sum(values(table, "via").values())


@pytest.mark.parametrize("fields", ["channel", "channel=", "channel=-1", "channels=5", "channel=1e3", "channel=999999999"])
def test_an_invalid_budget_is_refused_with_the_choices(fields):
    with pytest.raises(ValueError, match="channel, isp, app, platform, extra_names, extra_values, extra_bytes"):
        budgets_of([fields])


def test_a_budget_changes_one_field():
    assert budgets_of(["channel=7"]) == {**DEFAULTS, "channel": 7}


def test_a_query_of_a_small_table_uses_one_core_and_one_of_a_large_table_uses_all(live, tmp_path, monkeypatch):
    monkeypatch.setattr(live_table, "_ONE_PIECE", 3)
    table = live([record(seq=seq, received_ms=BEGIN_MS + seq) for seq in range(3)])
    with closing(duckdb.connect()) as other:
        all_cores = cores(other)
    with table.reading() as cursor:
        assert cores(cursor) == 1
    add(table, write_log(tmp_path, [record(seq=3, received_ms=BEGIN_MS + 3)]))
    with table.reading() as cursor:
        assert cores(cursor) == all_cores
    table.drop_before(BEGIN_MS + 2)
    with table.reading() as cursor:
        assert cores(cursor) == 1


def cores(connection: duckdb.DuckDBPyConnection) -> int:
    return connection.execute("SELECT current_setting('threads')").fetchall()[0][0]


def test_memory_that_was_full_at_a_wrong_date_holds_messages_of_the_present_when_the_date_is_right(live):
    """`begins_ms` stayed in the future for years, and each page read the logs instead of the memory."""
    ahead_ms = 400 * 86_400_000
    table = live([record(session_id=f"s{at}", received_ms=BEGIN_MS + ahead_ms + at * 60_000) for at in range(100)], rows=50)
    assert table.begins_ms > BEGIN_MS + ahead_ms
    table.drop_before(BEGIN_MS - 3_600_000, and_from_ms=BEGIN_MS + 3_600_000)
    assert table.begins_ms == BEGIN_MS + 3_600_000
