"""The nodes that are in the overlay: those whose lease has not ended.

The seed project relied on a node's announcement that it leaves, which a node that crashes does not send. A lease needs no
announcement: without a sign of life it ends by itself.
"""

LEASE_S = 3.0
INTERVALS = 3


class Leases:
    """The end of each node's lease, on a clock that never steps."""

    def __init__(self, lease_s: float = LEASE_S) -> None:
        self.lease_s = lease_s
        self._until_s: dict[str, float] = {}
        self._lengths_s: dict[str, float] = {}

    def renew(self, node: str, now_s: float) -> bool:
        """Begin or prolong a lease; True if it begins."""
        begins = node not in self._until_s
        self._until_s[node] = now_s + self._lengths_s.get(node, self.lease_s)
        return begins

    def announced(self, node: str, interval_s: float) -> None:
        """The node announces a sign of life every `interval_s`. From the next renewal on, its lease is three times as long."""
        self._lengths_s[node] = max(self.lease_s, INTERVALS * interval_s)

    def shorten(self, node: str, now_s: float) -> None:
        """A neighbour reports that the node has failed: its lease ends soon, unless it shows a sign of life."""
        if node in self._until_s:
            self._until_s[node] = min(self._until_s[node], now_s + self.lease_s)

    def end(self, node: str) -> bool:
        """End a lease at once, after LEAVE; False if there was none."""
        self._lengths_s.pop(node, None)
        return self._until_s.pop(node, None) is not None

    def expire(self, now_s: float) -> list[str]:
        """End the leases whose time is over. Returns their nodes."""
        expired = [node for node, until_s in self._until_s.items() if until_s <= now_s]
        for node in expired:
            self.end(node)
        return expired

    def __contains__(self, node: str) -> bool:
        return node in self._until_s

    def __len__(self) -> int:
        return len(self._until_s)
