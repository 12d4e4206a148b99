"""Players choose one of the files that a source offers; each file has its own tree, and an unknown name gets a clear error."""

import asyncio

import pytest

from overlay.membership import offers_at_bootstrapper
from overlay.messages import FilesOffer
from overlay.node_settings import StreamChoice
from overlay.offers import Offers
from overlay.overlay_file import Stream
from tests.overlay.one_process import Swarm, swarm_of, until

STREAMS = {"news": Stream(source="s"), "film": Stream(source="t", file="media/a.mp4")}
CHOICE = StreamChoice(stream="news", file="b.mp4")


def test_a_file_is_a_stream_of_its_own_with_the_properties_and_another_number_of_its_stream():
    offers = Offers(STREAMS)
    assert offers.refusal(CHOICE) is None  # its source may still offer it
    assert not offers.is_offered(CHOICE)
    assert offers.offered("s", FilesOffer(stream="news", files=["a.mp4", "b.mp4"])) is None
    offers.add(CHOICE)
    assert CHOICE.name == "news/b.mp4"
    assert offers.streams["news/b.mp4"] is STREAMS["news"]
    assert len({*offers.numbers.values()}) == 3
    again = Offers(STREAMS)  # a bootstrapper that was started again
    again.offered("s", FilesOffer(stream="news", files=["b.mp4"]))
    again.add(CHOICE)
    assert again.numbers == offers.numbers


def test_numbers_of_files_never_collide():
    offers = Offers(STREAMS)
    for first in range(0, 2000, 250):
        files = [f"{number}.ts" for number in range(first, first + 250)]
        assert offers.offered("s", FilesOffer(stream="news", files=files)) is None
        for file in files:
            offers.add(StreamChoice(stream="news", file=file))
    assert len({*offers.numbers.values()}) == len(offers.numbers) == 2002


@pytest.mark.parametrize(
    ("node", "offer", "reason"),
    [
        ("s", FilesOffer(stream="neos", files=["a.mp4"]), "there is no stream 'neos'; the topology file has news, film"),
        ("x", FilesOffer(stream="news", files=["a.mp4"]), "names 's' as the source of stream 'news'; start the stream there"),
        ("s", FilesOffer(stream="news", files=["a" * 60]), "is too long; use at most 59 characters"),
        ("t", FilesOffer(stream="film", files=["b.mp4", "a.mp4"]), "plays 'a.mp4'; give it as the first --file"),
    ],
)
def test_an_offer_that_does_not_fit_the_topology_file_gets_a_reason(node: str, offer: FilesOffer, reason: str):
    assert reason in (Offers(STREAMS).offered(node, offer) or "")


def test_a_choice_that_does_not_exist_gets_a_reason_that_names_those_that_do():
    offers = Offers(STREAMS)
    assert "there is no stream 'x'; the topology file has news, film" in (offers.refusal(StreamChoice(stream="x")) or "")
    offers.offered("s", FilesOffer(stream="news", files=[f"{number:02}.ts" for number in range(12)]))
    reason = offers.refusal(CHOICE) or ""
    assert reason.startswith("stream 'news' has no file 'b.mp4'; its source offers 00.ts, 01.ts")
    assert reason.endswith("09.ts and 2 more")
    offers.offered("s", FilesOffer(stream="news", files=[]))
    assert "offers no files; leave out --file" in (offers.refusal(CHOICE) or "")
    with pytest.raises(ValueError, match="offers no files"):
        offers.add(CHOICE)


TOPOLOGY = {
    "s": {"neighbors": ["r"], "role": "source"},
    "r": {"neighbors": ["p", "q", "x"]},
    **{name: {"neighbors": [], "role": "player"} for name in ("p", "q", "x")},
    "streams": {"news": {"source": "s"}},
}
FILES = ("a.mp4", "b.mp4")


def test_each_player_gets_the_file_that_it_has_chosen_and_an_unknown_one_is_refused():
    async def scenario() -> None:
        async with swarm_of(TOPOLOGY) as swarm:
            swarm.start("r")
            swarm.start("p", StreamChoice(stream="news", file="a.mp4"))  # before its source
            swarm.start("q", StreamChoice(stream="news", file="b.mp4"), StreamChoice(stream="news"))
            swarm.start("x", StreamChoice(stream="news", file="c.mp4"))
            await until(lambda: {"p", "q", "x"} <= swarm.bootstrapper.members.keys())
            source = swarm.start("s", originates={"news": FILES})
            await until(lambda: len(swarm.received) >= 6)  # p one stream, q two, and r all of them
            await until(lambda: swarm.refused)
            assert swarm.refused == {"x": ("news/c.mp4", "stream 'news' has no file 'c.mp4'; its source offers a.mp4, b.mp4")}
            assert swarm.received["p", "news/a.mp4"] == {1}
            assert (swarm.received["q", "news/b.mp4"], swarm.received["q", "news"]) == ({2}, {0})
            assert {stream for name, stream in swarm.received if name == "p"} == {"news/a.mp4"}
            await assert_is_listed_without_a_disturbance(swarm)
            await swarm.stop("p")  # the last player of this file
            await until(lambda: not source.feeds("news/a.mp4"))
            assert source.feeds("news/b.mp4")

    asyncio.run(scenario())


async def assert_is_listed_without_a_disturbance(swarm: Swarm) -> None:
    joined = swarm.bootstrapper.counts["joined"]
    (offer,) = await offers_at_bootstrapper(swarm.settings("p"))
    assert (offer.stream, offer.source, tuple(offer.files)) == ("news", "s", FILES)
    assert swarm.bootstrapper.counts["joined"] == joined
    with pytest.raises(ConnectionError, match="has no node 'nobody-knows'; add it there"):
        await offers_at_bootstrapper(swarm.settings("nobody-knows"))


def test_a_file_that_is_no_longer_offered_is_refused_to_its_players_and_a_pause_lasts():
    async def scenario() -> None:
        async with swarm_of(TOPOLOGY) as swarm:
            swarm.start("r")
            chosen = [StreamChoice(stream="news", file=file) for file in FILES]
            player = swarm.start("p", *chosen)
            swarm.start("s", originates={"news": FILES})
            await until(lambda: {("p", each.name) for each in chosen} <= swarm.received.keys())
            player.membership.pause("news/b.mp4")
            await until(lambda: not swarm.nodes["s"].feeds("news/b.mp4"))
            player.membership.play("news/b.mp4")
            await until(lambda: swarm.nodes["s"].feeds("news/b.mp4"))
            await swarm.stop("s")
            swarm.start("s", originates={"news": ("b.mp4",)})
            await until(lambda: swarm.refused)
            assert swarm.refused["p"][0] == "news/a.mp4"

    asyncio.run(scenario())
