"""The swarm of the demo: a source, four relays at its side, eight relays at the edge, and twenty players with two relays each."""

from typing import Any

STREAM, RATE_KBPS = "news", 1000
SOURCE = "source"
CORE = [f"relay-{number:02}" for number in range(1, 5)]
EDGE = [f"relay-{number:02}" for number in range(5, 13)]
PLAYERS = [f"player-{number:02}" for number in range(1, 21)]
MOST_CHILDREN = {**dict.fromkeys(CORE, 3), **dict.fromkeys(EDGE, 5)}
"""So few that the tree needs many relays, and so many that every player has a backup."""
CORE_KBPS, PLAYER_KBPS, PLAYER_LOSS = 20_000, 6000, 0.005


def neighbors() -> dict[str, list[str]]:
    """Each pair of neighbours once."""
    found = {SOURCE: list(CORE)}
    for place, relay in enumerate(CORE):
        found[relay] = [CORE[(place + 1) % len(CORE)]]
    for place, relay in enumerate(EDGE):
        found[relay] = [CORE[place % 4], CORE[(place + 1) % 4]]
    for place, player in enumerate(PLAYERS):
        found[player] = [EDGE[place % 8], EDGE[(place + 3) % 8]]
    return found


def overlay() -> dict[str, Any]:
    """The topology file of the overlay."""
    nodes: dict[str, Any] = {name: {"neighbors": others} for name, others in neighbors().items()}
    nodes[SOURCE]["role"] = "source"
    for relay in (*CORE, *EDGE):
        nodes[relay]["max_children"] = MOST_CHILDREN[relay]
    for player in PLAYERS:
        nodes[player]["role"] = "player"
    return {**nodes, "streams": {STREAM: {"source": SOURCE, "rate_kbps": RATE_KBPS}}}


def lab() -> dict[str, Any]:
    """The lab file: one link for each pair of neighbours. The links of players are slower, and lose 0.5 %."""
    links = []
    for name, others in neighbors().items():
        shape = {"rate_kbps": PLAYER_KBPS, "loss": PLAYER_LOSS} if name in PLAYERS else {"rate_kbps": CORE_KBPS}
        links += [{"between": [other, name], **shape} for other in others]
    return {"nodes": {name: {"forwards": True} for name in neighbors()}, "links": links}
