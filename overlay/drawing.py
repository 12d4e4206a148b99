"""A topology and its trees as text and as SVG."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from overlay.overlay_file import Overlay, OverlayLink, pair
from overlay.trees import Tree

COLUMN, ROW, MARGIN = 190, 44, 30
BOX_WIDTH, BOX_HEIGHT = 130, 26


def link_text(link: OverlayLink) -> str:
    """The declared properties of a link, such as `2,000 kbit/s, 20 ms, 1 % loss`."""
    parts = [f"{link.delay_ms:g} ms"]
    if link.rate_kbps is not None:
        parts.insert(0, f"{link.rate_kbps:,.0f} kbit/s")
    if link.loss:
        parts.append(f"{link.loss * 100:g} % loss")
    if link.transport == "tcp":
        parts.append("TCP")
    return ", ".join(parts)


def overlay_text(overlay: Overlay) -> str:
    """Each node with its role, bound and links, one line each."""
    lines, neighbors = [], _neighbors(overlay)
    for name, node in sorted(overlay.nodes.items()):
        bound = "" if node.max_children is None else f", at most {node.max_children} children"
        uplink = "" if node.uplink_kbps is None else f", uplink {node.uplink_kbps:,.0f} kbit/s"
        lines.append(f"{name} ({node.role}{bound}{uplink})")
        lines += [f"    {other}  {link_text(overlay.links[pair(name, other)])}" for other in sorted(neighbors[name])]
    return "\n".join(lines)


def tree_text(tree: Tree, *, receivers: Sequence[str] = (), backups: Mapping[str, str] | None = None) -> str:
    """The tree with branches; a receiver has a star, and a node its backup parent behind it."""
    children, starred = tree.children(), {*receivers}
    lines = [tree.source]
    waiting = [(child, "", index + 1 == len(children[tree.source])) for index, child in enumerate(children[tree.source])][::-1]
    while waiting:
        node, indent, is_last = waiting.pop()
        star = " *" if node in starred else ""
        backup = f"  (backup: {backups[node]})" if backups and node in backups else ""
        lines.append(f"{indent}{'└── ' if is_last else '├── '}{node}{star}{backup}")
        deeper = indent + ("    " if is_last else "│   ")
        waiting += [(child, deeper, index + 1 == len(children[node])) for index, child in enumerate(children[node])][::-1]
    return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class _Spot:
    x: int
    y: int


def overlay_svg(overlay: Overlay, start: str, trees: Mapping[str, Tree] | None = None) -> str:
    """The nodes in columns by their hops from `start`. The links of trees are thick, and each tree has its own colour."""
    spots = _spots(overlay, start)
    width = max(spot.x for spot in spots.values()) + BOX_WIDTH + MARGIN
    height = max(spot.y for spot in spots.values()) + BOX_HEIGHT + MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="img">',
        f"<title>Overlay of {len(overlay.nodes)} nodes</title>",
        "<style>text{font:12px sans-serif;fill:#1a1a1a}rect{fill:#fff;stroke:#555}line{stroke:#bbb}"
        ".tree{stroke-width:3}.source rect{fill:#dcecff}.player rect{fill:#e8f5e2}</style>",
        f'<rect width="{width}" height="{height}" style="stroke:none"/>',
    ]
    parts += [_line(spots[one], spots[other], link_text(link)) for (one, other), link in overlay.links.items()]
    for number, (name, tree) in enumerate((trees or {}).items()):
        colour = f"hsl({number * 137 % 360} 65% 40%)"
        parts += [_line(spots[one], spots[other], f"{name}: {one} to {other}", colour) for one, other in tree.links()]
    parts += [_box(name, overlay.nodes[name].role, spot) for name, spot in spots.items()]
    return "\n".join([*parts, "</svg>", ""])


def _spots(overlay: Overlay, start: str) -> dict[str, _Spot]:
    columns = _columns(overlay, start)
    return {
        name: _Spot(MARGIN + column * COLUMN, MARGIN + row * ROW)
        for column, names in enumerate(columns)
        for row, name in enumerate(names)
    }


def _columns(overlay: Overlay, start: str) -> list[list[str]]:
    """Nodes by their hops from `start`. The last column has the nodes that cannot be reached."""
    neighbors = _neighbors(overlay)
    columns, seen = [[start]], {start}
    while following := sorted({each for name in columns[-1] for each in neighbors[name]} - seen):
        columns.append(following)
        seen.update(following)
    alone = sorted(overlay.nodes.keys() - seen)
    return [*columns, alone] if alone else columns


def _neighbors(overlay: Overlay) -> dict[str, set[str]]:
    neighbors: dict[str, set[str]] = {name: set() for name in overlay.nodes}
    for one, other in overlay.links:
        neighbors[one].add(other)
        neighbors[other].add(one)
    return neighbors


def _line(one: _Spot, other: _Spot, title: str, colour: str | None = None) -> str:
    style = f' class="tree" style="stroke:{colour}"' if colour else ""
    x1, x2, half = one.x + BOX_WIDTH // 2, other.x + BOX_WIDTH // 2, BOX_HEIGHT // 2
    return f'<line x1="{x1}" y1="{one.y + half}" x2="{x2}" y2="{other.y + half}"{style}><title>{escape(title)}</title></line>'


def _box(name: str, role: str, spot: _Spot) -> str:
    shown = name if len(name) <= 18 else f"{name[:17]}…"
    return (
        f'<g class="{role}"><title>{escape(name)} ({role})</title>'
        f'<rect x="{spot.x}" y="{spot.y}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="4"/>'
        f'<text x="{spot.x + BOX_WIDTH // 2}" y="{spot.y + 17}" text-anchor="middle">{escape(shown)}</text></g>'
    )
