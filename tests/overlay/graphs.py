"""Random overlays for the tests of trees."""

import random

import networkx


def random_graph(seed: int, *, most_nodes: int = 60) -> tuple[networkx.Graph, str, list[str], random.Random]:
    """A connected graph with weights, a source, receivers, and the source of chance for more choices."""
    chance = random.Random(seed)
    count = chance.randint(2, most_nodes)
    names = [f"n{number:02}" for number in range(count)]
    graph = networkx.Graph()
    graph.add_nodes_from(names)
    for number in range(1, count):
        graph.add_edge(names[number], names[chance.randrange(number)])
    for _ in range(chance.randint(0, 2 * count)):
        one, other = chance.sample(names, 2)
        graph.add_edge(one, other)
    equal = chance.random() < 0.3  # as with hops: many paths of the same cost
    for link in graph.edges:
        graph.edges[link]["weight"] = 1.0 if equal else chance.choice([0.0, 0.5, 1.0, 2.0, 5.0, 20.0])
    source, *others = chance.sample(names, count)
    return graph, source, others[: chance.randint(1, len(others))], chance


def barely_bounded(seed: int, *, slack: float) -> tuple[networkx.Graph, str, dict[str, int]]:
    """A random graph, a source, and bounds of children that a tree to all nodes just fits into. `slack`: share of looser bounds."""
    graph, source, _, chance = random_graph(seed)
    bounds, reached, links = dict.fromkeys(graph.nodes, 0), {source}, [(source, node) for node in graph.adj[source]]
    while links:
        parent, node = links.pop(chance.randrange(len(links)))
        if node not in reached:
            reached.add(node)
            bounds[parent] += 1
            links += [(node, other) for other in graph.adj[node]]
    return graph, source, {node: most + (chance.random() < slack) for node, most in bounds.items()}
