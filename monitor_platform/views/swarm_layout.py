"""Where the nodes of a tree are drawn: a column for each depth, a row for each leaf. Large trees are shown with groups.

A group stands for children of one node, with everything below them. Nodes with a problem stay outside groups, because one of
forty viewers must not disappear in a number.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from feedback_analysis.messages.swarm_tree import SwarmNode

MOST_ROWS = 60
"""More rows are too many to read. Troubled nodes get at most half of them."""

LEAST_IN_GROUP = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Spot:
    """A node, or a group of nodes (`members`) below `parent`. `column` is the depth; `row` counts from the top."""

    name: str
    parent: str | None
    column: int
    row: float
    is_leaf: bool
    members: tuple[str, ...] = ()

    @property
    def is_group(self) -> bool:
        return bool(self.members)


@dataclass(frozen=True, slots=True, kw_only=True)
class SwarmLayout:
    """All spots, each after its parent, and the size of the drawing."""

    spots: tuple[Spot, ...]
    rows: int
    columns: int


@dataclass(slots=True)
class _Plan:
    """A tree, and which children of each node are in its group."""

    nodes: dict[str, SwarmNode]
    kept: frozenset[str]
    """Nodes that no group may hide: troubled ones and opened ones, with all nodes above them."""
    grouped: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def shown(self, name: str) -> list[str]:
        hidden = self.grouped.get(name, ())
        return [child for child in self.nodes[name].children if child in self.nodes and child not in hidden]

    def group(self, name: str) -> None:
        """Put the children of `name` into a group, except those that no group may hide."""
        hidden = tuple(child for child in self.nodes[name].children if child in self.nodes and child not in self.kept)
        if len(hidden) >= LEAST_IN_GROUP:
            self.grouped[name] = hidden

    def rows(self) -> int:
        return sum(name in self.grouped or not self.shown(name) for name in self.visible())

    def visible(self) -> list[str]:
        waiting = [name for name, node in reversed(self.nodes.items()) if node.parent is None]
        found = []
        while waiting:
            found.append(waiting.pop())
            waiting += reversed(self.shown(found[-1]))
        return found

    def below(self, name: str) -> tuple[str, ...]:
        """All nodes that the group of `name` hides."""
        waiting, found = list(self.grouped[name]), []
        while waiting:
            found.append(waiting.pop())
            waiting += [child for child in self.nodes[found[-1]].children if child in self.nodes]
        return tuple(sorted(found))


def layout_of(
    nodes: Sequence[SwarmNode],
    *,
    troubled: Sequence[str] = (),
    opened: Collection[str] = (),
    closed: Collection[str] = (),
    deepest: int | None = None,
    most_rows: int = MOST_ROWS,
) -> SwarmLayout:
    """The spots of `nodes`, each of which comes after its parent.

    The children of a node in `closed`, and those below the depth `deepest`, are in groups. If there are more than `most_rows` rows,
    so are others, the deepest first. The children of a node in `opened` are not. `troubled`: the worst first.
    """
    of = {node.name: node for node in nodes}
    kept = _with_ancestors(
        of, [*troubled[: most_rows // 2], *(child for name in opened if name in of for child in of[name].children)]
    )
    plan = _Plan(of, kept)
    for name, node in of.items():
        if name in closed or (deepest is not None and node.depth >= deepest):
            plan.group(name)
    depths = sorted({node.depth for node in nodes if node.children}, reverse=True)
    for depth in depths:
        if plan.rows() <= most_rows:
            break
        for name in [name for name in plan.visible() if of[name].depth == depth]:
            plan.group(name)
    return _placed(plan)


def _with_ancestors(of: dict[str, SwarmNode], names: Iterable[str]) -> frozenset[str]:
    found: set[str] = set()
    for name in names:
        at: str | None = name
        while at is not None and at in of and at not in found:
            found.add(at)
            at = of[at].parent
    return frozenset(found)


def _placed(plan: _Plan) -> SwarmLayout:
    rows: dict[str, float] = {}
    group_rows: dict[str, float] = {}
    order = plan.visible()
    next_row = _rows_of_leaves(plan, order, rows, group_rows)
    for name in reversed(order):
        if name not in rows:
            below = [rows[child] for child in plan.shown(name)] + ([group_rows[name]] if name in group_rows else [])
            rows[name] = (min(below) + max(below)) / 2
    spots = []
    for name in order:
        node = plan.nodes[name]
        leaf = not plan.shown(name) and name not in plan.grouped
        spots.append(Spot(name=name, parent=node.parent, column=node.depth, row=rows[name], is_leaf=leaf))
        if name in plan.grouped:
            members = plan.below(name)
            spots.append(Spot(name="", parent=name, column=node.depth + 1, row=group_rows[name], is_leaf=True, members=members))
    return SwarmLayout(spots=tuple(spots), rows=next_row, columns=max((spot.column for spot in spots), default=0) + 1)


def _rows_of_leaves(plan: _Plan, order: Sequence[str], rows: dict[str, float], group_rows: dict[str, float]) -> int:
    """Give each leaf the next row, from the top. A group comes after the shown children of its parent."""
    next_row = 0
    place = {name: at for at, name in enumerate(order)}
    # The last shown descendant of a node decides where its group is; groups of inner nodes come first.
    after: dict[str, list[str]] = {}
    for name in sorted(plan.grouped.keys() & place.keys(), key=lambda each: -plan.nodes[each].depth):
        last = name
        while shown := plan.shown(last):
            last = shown[-1]
        after.setdefault(last, []).append(name)
    for name in order:
        if not plan.shown(name) and name not in plan.grouped:
            rows[name] = float(next_row)
            next_row += 1
        for parent in after.get(name, ()):
            group_rows[parent] = float(next_row)
            next_row += 1
    return next_row
