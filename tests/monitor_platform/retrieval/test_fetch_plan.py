"""What to fetch next is decided without I/O, so tests can play through every history of a server."""

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from feedback_wire.catalogue import Catalogue, LogEntry
from feedback_wire.log_name import Form, LogName
from monitor_platform.retrieval.fetch_plan import (
    REMEMBERED_MS,
    FetchSealed,
    FetchTail,
    MirroredLog,
    in_turn,
    in_window,
    plan,
    settled,
    still_waiting,
)

RECORD_BYTES = 10


def journal(begins_s: int, records: int, part: int = 0) -> LogEntry:
    return LogEntry(name=LogName(begins_s, "fs1", part, Form.JOURNAL), bytes=records * RECORD_BYTES, records=records)


def sealed(begins_s: int, records: int, size: int = 77) -> LogEntry:
    return LogEntry(name=LogName(begins_s, "fs1", 0, Form.JSONL), bytes=size, records=records)


def offered(*logs: LogEntry) -> Catalogue:
    return Catalogue(server="fs1", logs=logs)


def holding(*logs: MirroredLog) -> dict[str, MirroredLog]:
    return {held.name.stem: held for held in logs}


def test_an_open_journal_is_fetched_from_the_end_of_its_copy():
    had, now = journal(60, 3), journal(60, 5)
    assert plan(offered(now), holding(MirroredLog(name=had.name, bytes=30, records=3))) == (FetchTail(now, 30),)


def test_a_journal_that_shrank_is_fetched_from_its_start():
    had, now = journal(60, 5), journal(60, 3)
    assert plan(offered(now), holding(MirroredLog(name=had.name, bytes=50, records=5))) == (FetchTail(now, 0),)


def test_a_sealed_log_gives_only_the_records_that_its_journal_did_not():
    held = holding(MirroredLog(name=journal(60, 3).name, bytes=30, records=3))
    assert plan(offered(sealed(60, 5)), held) == (FetchSealed(sealed(60, 5), 3),)


def test_a_sealed_log_whose_records_are_all_ingested_is_only_mirrored():
    held = holding(MirroredLog(name=journal(60, 5).name, bytes=50, records=5))
    assert plan(offered(sealed(60, 5)), held) == (FetchSealed(sealed(60, 5), None),)


def test_a_mirrored_log_is_fetched_again_only_if_it_differs_or_is_doubtful():
    entry = sealed(60, 5)
    assert plan(offered(entry), holding(MirroredLog(name=entry.name, bytes=77, records=5))) == ()
    assert plan(offered(entry), holding(MirroredLog(name=entry.name, bytes=76, records=5))) == (FetchSealed(entry, None),)
    assert plan(offered(entry), holding(MirroredLog(name=entry.name, bytes=77, records=2, doubtful=True))) == (
        FetchSealed(entry, 2),
    )


def test_the_newest_seconds_are_fetched_first_and_the_distant_past_last():
    logs = [sealed(60, 5), sealed(120, 5), sealed(180, 5), journal(240, 1)]
    assert plan(offered(*logs), {}, since_ms=190_000) == (
        FetchTail(logs[3], 0),
        FetchSealed(logs[2], 0),
        FetchSealed(logs[1], None, identities=True),
        FetchSealed(logs[0], None, identities=True),
    )


def test_copies_are_recognised_of_messages_in_logs_of_the_day_before_the_time_in_memory():
    since_ms = 200_000 + REMEMBERED_MS
    assert plan(offered(sealed(180, 5), sealed(240, 5), sealed(300, 5)), {}, since_ms=since_ms) == (
        FetchSealed(sealed(300, 5), 0),
        FetchSealed(sealed(240, 5), None, identities=True),
        FetchSealed(sealed(180, 5), None, identities=False),
    )


def test_if_both_forms_are_listed_the_sealed_one_counts():
    assert plan(offered(sealed(60, 5), journal(60, 5)), {}) == (FetchSealed(sealed(60, 5), 0),)


def test_the_catalogue_may_begin_after_the_last_log_before_the_first_gap():
    logs = [sealed(60, 1), sealed(120, 1), sealed(180, 1), journal(240, 1)]
    have = [MirroredLog(name=log.name, bytes=log.bytes, records=1) for log in logs]
    assert settled(offered(*logs), holding(*have), None) == logs[2].name
    assert settled(offered(*logs), holding(have[0], have[2]), None) == logs[0].name
    assert settled(offered(*logs), {}, logs[0].name) == logs[0].name


def test_a_log_is_in_the_window_until_the_next_period_has_begun_before_it():
    names = [sealed(at, 1).name for at in (60, 120, 180)]
    assert in_window(names, 125_000) == names[1:]
    assert in_window(names, 999_000) == names[2:], "the length of the newest period is not known"
    assert in_window(names, None) == names


@dataclass
class Pretence:
    """A feedback server and a platform reduced to numbers: records per stem, which are sealed, which were ingested how often."""

    records: list[int] = field(default_factory=lambda: [0])
    open_stems: set[int] = field(default_factory=lambda: {0})
    taken: dict[tuple[int, int], int] = field(default_factory=dict)
    held: dict[str, MirroredLog] = field(default_factory=dict)
    after: LogName | None = None

    def catalogue(self) -> Catalogue:
        entries = [journal(i * 60, n) if i in self.open_stems else sealed(i * 60, n) for i, n in enumerate(self.records)]
        return offered(*(entry for entry in entries if self.after is None or entry.name.stem > self.after.stem))

    def poll(self, fetches: int) -> None:
        """One round that is interrupted after so many fetches."""
        catalogue = self.catalogue()
        for fetch in plan(catalogue, self.held)[:fetches]:
            entry = fetch.entry
            match fetch:
                case FetchTail(start=start):
                    self._take(entry, start // RECORD_BYTES)
                case FetchSealed(take_from=int(first)):
                    self._take(entry, first)
            self.held[entry.name.stem] = MirroredLog(name=entry.name, bytes=entry.bytes, records=entry.records)
        self.after = settled(catalogue, self.held, self.after)

    def _take(self, entry: LogEntry, first: int) -> None:
        for record in range(first, entry.records):
            key = (entry.name.begins_s // 60, record)
            self.taken[key] = self.taken.get(key, 0) + 1


steps = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(1, 5)),
        st.tuples(st.just("roll"), st.just(0)),
        st.tuples(st.just("seal"), st.integers(0, 9)),
        st.tuples(st.just("poll"), st.integers(0, 4)),
    ),
    max_size=40,
)


@given(steps)
def test_over_any_writes_rolls_seals_and_polls_every_record_is_ingested_exactly_once(history: list[tuple[str, int]]):
    pretence = Pretence()
    for step, number in history:
        match step:
            case "write":
                pretence.records[-1] += number
            case "roll":
                pretence.records.append(0)
                pretence.open_stems.add(len(pretence.records) - 1)
            case "seal":
                closed = sorted(pretence.open_stems)[:-1]
                pretence.open_stems -= {closed[number % len(closed)]} if closed else set()
            case "poll":
                pretence.poll(number)
    pretence.poll(10**6)
    assert pretence.taken == {(stem, record): 1 for stem, n in enumerate(pretence.records) for record in range(n)}
    assert plan(pretence.catalogue(), pretence.held) == ()


@given(steps)
def test_a_settled_log_is_never_requested_again(history: list[tuple[str, int]]):
    pretence = Pretence()
    for step, number in history:
        if step == "poll":
            before = pretence.after
            pretence.poll(number)
            assert before is None or (pretence.after is not None and pretence.after.stem >= before.stem)
            assert all(
                pretence.held[journal(i * 60, 0).name.stem].name.form is Form.JSONL
                for i in range(len(pretence.records))
                if pretence.after is not None and i * 60 <= pretence.after.begins_s
            )
        elif step == "roll":
            pretence.records.append(number)
            pretence.open_stems.add(len(pretence.records) - 1)
        elif step == "seal":
            pretence.open_stems -= {number}


def test_a_sealed_log_that_waits_behind_open_journals_comes_second_in_the_next_round():
    catalogue = offered(sealed(60, 5), sealed(120, 5), *(journal(240, 1, part) for part in range(3)))
    fetches = plan(catalogue, {})
    first_round = in_turn(fetches, [])
    assert first_round == fetches, "without a wait, the order is that of urgency"
    waiting = sealed(60, 5).name.stem
    second_round = in_turn(fetches, [waiting, sealed(120, 5).name.stem])
    assert second_round[0] == fetches[0], "the newest seconds are still the first"
    assert second_round[1].entry.name.stem == waiting
    assert sorted(map(repr, second_round)) == sorted(map(repr, fetches)), "no log is left out or fetched twice"


@given(busy=st.integers(1, 4), old=st.integers(1, 5), reached=st.integers(2, 3))
def test_no_log_waits_for_ever_in_rounds_that_are_too_short(busy, old, reached):
    """Open journals always have new records, and a round reaches only `reached` logs."""
    journals = [journal(900, 1, part) for part in range(busy)]
    left = {each.name.stem: each for each in (sealed(60 * at, 5) for at in range(1, old + 1))}
    waiting: tuple[str, ...] = ()
    for _ in range(busy + old):
        order = in_turn(plan(offered(*left.values(), *journals), {}), waiting)
        waiting = still_waiting(order, waiting, done=order[:reached])
        for fetch in order[:reached]:
            left.pop(fetch.entry.name.stem, None)
    assert not left
