"""`swarmscope overlay check`: topology files, checked and drawn."""

import sys
from functools import partial
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from overlay.disjoint_trees import can_have_two_paths, two_trees
from overlay.drawing import overlay_svg, overlay_text, tree_text
from overlay.overlay_file import DISCOVER, Metric, Overlay, OverlayFileError, Stream, TreeKind, read_overlay_file
from overlay.trees import Tree, backups, cost, graph_of, stress, stretches, tree
from serving.regular_files import read_regular_text
from swarmscope.commands import exit_on_usage_error


def check(
    file: Path,
    /,
    *,
    source: str | None = None,
    player: Annotated[tuple[str, ...], Parameter(consume_multiple=False)] = (),
    metric: Metric | None = None,
    tree_: Annotated[TreeKind | None, Parameter(name="--tree")] = None,
    svg: Path | None = None,
) -> int:
    """Check a topology file and draw it. Returns the exit code.

    Parameters
    ----------
    file
        Topology file (JSON), or lab file of netlab with the topology in its field "overlay". For the formats, see
        docs/formats/topology.md and docs/netlab.md.
    source
        Node where a stream begins. The command draws the tree of this stream only. Without it, the command draws the streams of the
        file.
    player
        Node that the tree must reach. Requires --source. Repeat the flag for each node. Without it, the tree must reach all nodes
        with the role player.
    metric
        Cost of a path: number of hops, latency, or composite (delay and loss of the links). By default, the stream's value in the
        file, or hops with --source.
    tree_
        shortest: each player gets the cheapest path. steiner: paths share more links, so the whole tree is cheaper. By default, the
        stream's value in the file, or shortest with --source.
    svg
        Also write a drawing of the topology and the trees to this SVG file.
    """
    overlay = read_topology(file)
    streams = _streams(overlay, source, player)
    print(overlay_text(overlay))
    seeking = [name for name, node in overlay.nodes.items() if node.neighbors == DISCOVER]
    if seeking or overlay.others is not None:
        names = ", ".join([*seeking, *(["all nodes that are not in the file"] if overlay.others is not None else [])])
        print(f"neighbours found while the overlay runs, and not drawn: {names}")
    trees: dict[str, Tree] = {}
    for name, stream in streams.items():
        if stream.redundancy == "two_trees":
            trees |= _print_two_trees(overlay, name, stream, metric or stream.metric, tree_ or stream.tree)
        else:
            trees[name] = _print_tree(overlay, name, stream, metric or stream.metric, tree_ or stream.tree)
    if svg is not None:
        start = next((each.source for each in streams.values()), min(overlay.nodes))
        svg.write_text(overlay_svg(overlay, start, trees), encoding="utf-8")
        print(f"{svg} is written", file=sys.stderr)
    return 1 if any(each.unreached for each in trees.values()) else 0


def read_topology(file: Path) -> Overlay:
    try:
        return read_overlay_file(read_regular_text(file))
    except (OverlayFileError, UnicodeDecodeError) as error:
        exit_on_usage_error(ValueError(f"{file}: {error}"))


def _streams(overlay: Overlay, source: str | None, players: tuple[str, ...]) -> dict[str, Stream]:
    for name in (*players, *([source] if source is not None else [])):
        if name not in overlay.nodes:
            known = ", ".join(sorted(overlay.nodes)[:10])
            exit_on_usage_error(ValueError(f"{name!r} is no node of the topology; name one of {known}"))
    if source is not None:
        return {"(of --source)": Stream(source=source, players=list(players) or None)}
    if players:
        exit_on_usage_error(ValueError("--player needs --source; name the node where the stream begins"))
    return dict(overlay.streams)


def _print_tree(overlay: Overlay, name: str, stream: Stream, metric: Metric, kind: TreeKind) -> Tree:
    graph = graph_of(overlay, metric)
    players = _drawn_players(overlay, stream)
    bound = partial(overlay.most_children, stream_kbps=stream.rate_kbps)
    drawn = tree(graph, stream.source, players, kind, bound)
    reached = [each for each in players if each not in drawn.unreached and each != stream.source]
    print(f"\nstream {name}: {kind} tree by {metric}, cost {cost(graph, drawn):g}, {len(reached)} of {len(players)} players (*)")
    print(tree_text(drawn, receivers=players, backups=backups(graph, drawn, bound).parents))
    if reached:
        worst = max(stretches(graph, drawn, reached).values())
        copies = max(stress(drawn.path(each) for each in reached).values())
        print(f"greatest stretch {worst:.2f}; copies of a packet on one link: 1, without multicast {copies}")
    _print_unreached(drawn.unreached)
    return drawn


def _drawn_players(overlay: Overlay, stream: Stream) -> list[str]:
    return [each for each in overlay.players(stream) if overlay.nodes[each].neighbors != DISCOVER]


def _print_unreached(players: tuple[str, ...]) -> None:
    if players:
        print(f"not reached: {', '.join(players)}; add a link, or raise max_children of a node nearby", file=sys.stderr)


def _print_two_trees(overlay: Overlay, name: str, stream: Stream, metric: Metric, kind: TreeKind) -> dict[str, Tree]:
    graph, players = graph_of(overlay, metric), _drawn_players(overlay, stream)
    bound = partial(overlay.most_children, stream_kbps=stream.rate_kbps)
    two = two_trees(graph, stream.source, players, kind, bound)
    both = [each for each in players if two.has_two_paths(each)]
    total = cost(graph, two.first) + cost(graph, two.second)
    print(
        f"\nstream {name}: two {kind} trees by {metric}, cost {total:g}, {len(both)} of {len(players)} players (*) with two paths"
    )
    for grown in (two.first, two.second):
        print(tree_text(grown, receivers=players))
    unreached = tuple(each for each in two.first.unreached if each in two.second.unreached)
    _print_unreached(unreached)
    for player in players:
        if player in both or player in unreached or player == stream.source:
            continue
        shared = two.shared(player)
        why = f"both pass {', '.join(shared)}" if shared else "one tree does not reach it"
        can = can_have_two_paths(graph, stream.source, player, bound)
        advice = "raise max_children of the nodes around it" if can else "add a link that avoids it" if shared else "add a link"
        print(f"{player} has no two separate paths: {why}; {advice}", file=sys.stderr)
    first = Tree(source=two.first.source, parents=two.first.parents, unreached=unreached)
    return {name: first, f"{name} (second tree)": Tree(source=stream.source, parents=two.second.parents)}
