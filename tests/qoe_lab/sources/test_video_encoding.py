"""Contents are encoded once, completely or not at all, and described by what they are."""

from dataclasses import replace
from pathlib import Path

import pytest

from qoe_lab.sources import mp4_boxes
from qoe_lab.sources.joined_rung import write_overlay_file
from qoe_lab.sources.ladder import DEFAULT_CONTENTS, ContentRecipe, Rung, read_content, read_contents
from qoe_lab.sources.pictures import pictures
from qoe_lab.sources.video_encoding import make_contents
from tests.qoe_lab.played_sessions import RECIPE, RUNGS, SEGMENTS

TINY = replace(RECIPE, rungs=(Rung(name="low", width=64, height=36, kbps=30),))


def test_only_missing_changed_and_damaged_contents_are_made_again(tmp_path: Path):
    reported: list[tuple[str, int, int]] = []
    make_contents(tmp_path, [TINY], seconds=2, progress=lambda *done: reported.append(done))
    first = (tmp_path / "ball" / "low" / "0.m4s").stat().st_mtime_ns
    make_contents(tmp_path, [TINY], seconds=2, progress=lambda *done: reported.append(done))
    assert (tmp_path / "ball" / "low" / "0.m4s").stat().st_mtime_ns == first
    (content,) = make_contents(tmp_path, [replace(TINY, grain=0)], seconds=2)
    assert (tmp_path / "ball" / "low" / "0.m4s").stat().st_mtime_ns != first
    assert reported == [("ball", 1, 1)] * 2
    assert content == read_contents(tmp_path)["ball"]
    assert [path.name for path in tmp_path.iterdir()] == ["ball"]
    (tmp_path / "ball" / "content.json").write_text("[" * 100_000)
    assert make_contents(tmp_path, [replace(TINY, grain=0)], seconds=2) == [content]


@pytest.mark.parametrize("damage", ["", "[]", "{", "[" * 100_000, '{"made_from": 1, "rungs": [1]}'])
def test_a_damaged_description_is_refused(tmp_path: Path, damage: str):
    (tmp_path / "ball").mkdir()
    (tmp_path / "ball" / "content.json").write_text(damage)
    with pytest.raises(ValueError, match=r"content\.json does not describe a content"):
        read_contents(tmp_path)


def test_the_description_is_that_of_the_files(contents: Path):
    content = read_content(contents / "ball")
    assert content.segments == SEGMENTS
    for rung, asked in zip(content.rungs, RUNGS, strict=True):
        files = [contents / "ball" / rung.name / f"{number}.m4s" for number in range(SEGMENTS)]
        assert rung.segment_bytes == tuple(file.stat().st_size for file in files)
        assert (rung.name, rung.width, rung.height) == (asked.name, asked.width, asked.height)
        assert rung.bandwidth_bps == max(rung.segment_bytes) * 4
        assert rung.codecs.startswith("avc1.42")


def test_the_same_recipe_draws_the_same_pictures_and_another_one_others():
    def drawn(recipe: ContentRecipe) -> list[bytes]:
        return [bytes(picture.planes[0]) for picture in pictures(recipe, 3)]

    assert drawn(RECIPE) == drawn(RECIPE)
    assert drawn(RECIPE) != drawn(replace(RECIPE, content_id="other"))
    assert len(set(drawn(DEFAULT_CONTENTS[0]))) == 3  # even the stillest content moves


def test_segments_of_one_second_or_of_four_have_these_lengths(tmp_path: Path):
    recipes = [replace(TINY, content_id=f"of-{seconds}", segment_s=seconds) for seconds in (1, 4)]
    for content, seconds in zip(make_contents(tmp_path, recipes, seconds=4), (1, 4), strict=True):
        assert (content.segment_s, content.segments) == (seconds, 4 // seconds)
        folder = tmp_path / content.content_id / "low"
        assert len(list(folder.glob("*.m4s"))) == content.segments
        for number in range(content.segments):
            begin = mp4_boxes.find(segment := (folder / f"{number}.m4s").read_bytes(), b"tfdt")
            at = int.from_bytes(segment[begin.content + 4 : begin.end])
            assert at == number * seconds * content.rung("low").timescale


def test_neither_the_segment_length_nor_the_ladder_of_a_default_content_determines_the_other():
    """With one length of segments, the gap between two requests alone tells whether a player stalls."""
    assert len({recipe.content_id for recipe in DEFAULT_CONTENTS}) == len(DEFAULT_CONTENTS) >= 5
    pairs = {(recipe.segment_s, recipe.rungs) for recipe in DEFAULT_CONTENTS}
    assert {length for length, _ in pairs} == {1, 2, 4}
    assert len({rungs for _, rungs in pairs}) == 3
    for one in pairs:
        assert sum(one[0] == other[0] for other in pairs) == sum(one[1] == other[1] for other in pairs) == 2
        assert [rung.kbps for rung in one[1]] == sorted({rung.kbps for rung in one[1]})


@pytest.mark.parametrize("content_id", ["", "../up", "UPPER", "a b", "x" * 33])
def test_a_name_that_is_no_folder_is_refused(content_id: str):
    with pytest.raises(ValueError, match="is not usable"):
        replace(RECIPE, content_id=content_id)


NAMED_BADLY = '{"made_from": {}, "content_id": "../up", "segment_s": 2, "segments": 1, "rungs": []}'


@pytest.mark.parametrize("text", ["", "{}", "[]", NAMED_BADLY, '{"made_from": {}, "rungs": [{}]}'])
def test_the_error_of_a_folder_without_a_usable_description_states_how_to_make_it(text: str, tmp_path: Path):
    (tmp_path / "ball").mkdir()
    (tmp_path / "ball" / "content.json").write_text(text)
    with pytest.raises(ValueError, match="make it again"):
        read_contents(tmp_path)
    with pytest.raises(ValueError, match="has no contents"):
        read_contents(tmp_path / "ball")


def test_a_segment_is_moved_in_time_without_another_change(contents: Path):
    segment = (contents / "ball" / "low" / "1.m4s").read_bytes()
    head = (contents / "ball" / "low" / "init.mp4").read_bytes()
    moved = mp4_boxes.moved(segment, number=7, by=3 * mp4_boxes.timescale(head))
    assert len(moved) == len(segment)
    assert sum(one != other for one, other in zip(segment, moved, strict=True)) <= 6
    assert mp4_boxes.moved(moved, number=1, by=-3 * mp4_boxes.timescale(head)) == segment


@pytest.mark.parametrize("data", [b"", b"no boxes", b"\x00\x00\x00\x04moof", b"\x00\x00\x00\x08moov", b"\xff\xff\xff\xffmdat"])
def test_what_is_no_fragmented_mp4_is_an_error(data: bytes):
    with pytest.raises(mp4_boxes.BrokenMp4Error):
        mp4_boxes.split(data)


def test_a_rung_is_one_file_for_the_overlay(contents: Path, tmp_path: Path):
    import av

    rate_kbps = write_overlay_file(contents, "ball", "middle", tmp_path / "ball.mp4")
    with av.open(str(tmp_path / "ball.mp4")) as media:
        assert sum(1 for _ in media.decode(video=0)) == SEGMENTS * RECIPE.segment_frames
    assert rate_kbps * 1000 > read_content(contents / "ball").rung("middle").bandwidth_bps
    with pytest.raises(ValueError, match="use one of low, middle, high"):
        write_overlay_file(contents, "ball", "none", tmp_path / "none.mp4")
