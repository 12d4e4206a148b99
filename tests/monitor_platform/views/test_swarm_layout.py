"""Where the nodes of a tree are drawn, and which are in groups."""

import pytest

from feedback_analysis.messages.swarm_tree import SwarmNode
from monitor_platform.views.swarm_layout import SwarmLayout, layout_of


def tree(**children: str) -> list[SwarmNode]:
    """`tree(s="a b", a="c d")`: nodes in the order of a walk from `s`."""
    of = {name: tuple(below.split()) for name, below in children.items()}
    nodes: list[SwarmNode] = []

    def add(name: str, parent: str | None, depth: int) -> None:
        shared = {"role": "player" if name not in of else "relay", "state": "here", "report": None}
        nodes.append(SwarmNode(name=name, parent=parent, depth=depth, children=of.get(name, ()), **shared))
        for child in of.get(name, ()):
            add(child, name, depth + 1)

    add("s", None, 0)
    return nodes


def wide(relays: int, each: int) -> list[SwarmNode]:
    of = {f"r{at:02}": " ".join(f"p{at:02}-{one:02}" for one in range(each)) for at in range(relays)}
    return tree(s=" ".join(of), **of)


def groups(found: SwarmLayout) -> dict[str, tuple[str, ...]]:
    return {str(spot.parent): spot.members for spot in found.spots if spot.is_group}


def shown(found: SwarmLayout) -> set[str]:
    return {spot.name for spot in found.spots if not spot.is_group}


def test_leaves_have_a_row_each_and_other_nodes_are_in_the_middle_of_their_children():
    found = layout_of(tree(s="a b", a="c d"))
    assert {spot.name: (spot.column, spot.row) for spot in found.spots} == {
        "s": (0, 1.25),
        "a": (1, 0.5),
        "c": (2, 0.0),
        "d": (2, 1.0),
        "b": (1, 2.0),
    }
    assert (found.rows, found.columns) == (3, 3)
    assert {spot.name for spot in found.spots if spot.is_leaf} == {"b", "c", "d"}


def test_a_large_tree_has_groups_and_a_viewer_with_a_problem_stays_outside():
    found = layout_of(wide(10, 40), troubled=["p03-07"], most_rows=60)
    assert found.rows == 11
    assert groups(found)["r03"] == tuple(f"p03-{at:02}" for at in range(40) if at != 7)
    assert shown(found) == {"s", "p03-07", *(f"r{at:02}" for at in range(10))}
    rows = sorted(spot.row for spot in found.spots if spot.is_leaf)
    assert rows == [float(row) for row in range(11)]


def test_opened_nodes_show_their_children_and_closed_nodes_do_not():
    assert shown(layout_of(wide(10, 40), opened={"r02"}, most_rows=60)) >= {f"p02-{at:02}" for at in range(40)}
    assert groups(layout_of(wide(2, 3), closed={"r01"})) == {"r01": ("p01-00", "p01-01", "p01-02")}


def test_a_depth_limits_what_is_shown():
    found = layout_of(tree(s="a b", a="c d", c="e f"), deepest=1)
    assert groups(found) == {"a": ("c", "d", "e", "f")}
    assert shown(found) == {"s", "a", "b"}


def test_whole_branches_are_in_groups_if_the_relays_alone_are_too_many():
    cores = {f"c{at}": f"e{at}0 e{at}1" for at in range(20)}
    edges = {f"e{at}{one}": f"p{at}{one}0 p{at}{one}1" for at in range(20) for one in range(2)}
    found = layout_of(tree(s=" ".join(cores), **cores, **edges), most_rows=25)
    assert found.rows == 20
    assert groups(found)["c3"] == ("e30", "e31", "p300", "p301", "p310", "p311")


@pytest.mark.parametrize("troubled", [1, 399])
def test_the_number_of_rows_stays_small_however_many_viewers_have_a_problem(troubled):
    names = [node.name for node in wide(10, 40) if node.role == "player"][:troubled]
    assert layout_of(wide(10, 40), troubled=names, most_rows=60).rows <= 60


def test_a_tree_without_nodes_has_no_spots():
    assert layout_of([]) == SwarmLayout(spots=(), rows=0, columns=1)
