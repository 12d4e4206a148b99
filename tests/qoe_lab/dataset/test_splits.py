"""The split of a session depends on its content alone, so no content and no session is in two splits."""

from collections import Counter, defaultdict

from hypothesis import given
from hypothesis import strategies as st

from qoe_lab.dataset.splits import SHARES, SPLITS, split_of
from qoe_lab.sources.ladder import DEFAULT_CONTENTS


@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), st.integers(0, 500)), min_size=1))
def test_no_content_is_in_two_splits(played: list[tuple[str, int]]) -> None:
    splits = defaultdict(set)
    for content, block in played:
        splits[content].add(split_of(content, block))
    assert all(len(each) == 1 for each in splits.values())


def test_sessions_without_a_content_are_divided_by_their_block() -> None:
    assert {split_of(None, block) for block in range(100)} == set(SPLITS)
    assert split_of(None, None) is None


def test_many_contents_have_the_shares_of_the_splits() -> None:
    counts = Counter(split_of(f"content-{number}", 0) for number in range(10_000))
    assert {split: round(counts[split] / 10_000, 1) for split in SPLITS} == SHARES


def test_the_split_of_a_content_never_changes() -> None:
    """A later version must not move a content to another split: published results would no longer be comparable."""
    assert [split_of(content, 0) for content in "abcdef"] == ["train", "train", "train", "test", "train", "train"]


def test_the_contents_of_the_lab_are_in_all_three_splits() -> None:
    splits = {content.content_id: split_of(content.content_id, 0) for content in DEFAULT_CONTENTS}
    assert Counter(splits.values()) == {"train": 4, "val": 1, "test": 1}
