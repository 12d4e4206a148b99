"""Which destinations may be measured, and how much. The rules apply to managers too. Pure: the caller passes the monotonic time."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from measurement.operation import TRAIN_TECHNIQUES, Destination, Technique
from serving.forwarded import Network, address_of, network_of

BUDGET_S = 60.0
"""A destination's budget refills evenly within this time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetRules:
    """Refuses destinations that must not be measured."""

    allowed: Sequence[Network] = ()
    """Networks that are exempt, for labs: private and loopback addresses there may be measured."""
    own: Collection[str] = ()
    """The master's own addresses, which carry the control connections."""
    invite: Collection[str] = ()
    """Names and addresses to which SIP_INVITE is allowed: it makes phones ring."""

    def refusal(self, technique: Technique, destination: Destination, consent: str) -> str:
        """Why this destination must not be measured; empty if it may be measured."""
        address = address_of(destination.address)
        if address is None:
            return f"{destination.address} is not an address"
        if technique is Technique.SIP_INVITE and not {destination.name, destination.address} & set(self.invite):
            return f"{destination.name} does not allow SIP_INVITE, which makes phones ring: --invite-destination of the master"
        if technique in TRAIN_TECHNIQUES and not consent:
            return (
                f"{technique} sends packet trains, and {destination.name} has not consented: start "
                "`swarmscope measurement-responder` there, and give its token in consent"
            )
        exempt = any(address in network for network in self.allowed)
        if address.is_multicast or address.is_unspecified or str(address) == "255.255.255.255":
            return f"{destination.address} is not the address of one host"
        if str(address) in self.own and not exempt:
            return f"{destination.address} is an address of the master"
        if not address.is_global and not exempt:
            return f"{destination.address} is a private or reserved address: --allow-network of the master exempts labs"
        return ""


@dataclass(slots=True, kw_only=True)
class DestinationBudgets:
    """Packets and bytes that all agents together may send to one address within BUDGET_S."""

    packets: float
    bytes: float
    _left: dict[str, tuple[float, float, float]] = field(default_factory=dict)
    """For each address in use: the packets and bytes left, and the time of this state."""

    def take(self, address: str, packets: float, size: float, now_s: float) -> bool:
        """Whether an operation may send this much now. If so, it is subtracted from the budget."""
        packets_left, bytes_left = self._now(address, now_s)
        if packets > packets_left or size > bytes_left:
            return False
        self._left[address] = (packets_left - packets, bytes_left - size, now_s)
        return True

    def forget_full(self, now_s: float) -> None:
        """Forget addresses whose budget is full again."""
        self._left = {address: left for address, left in self._left.items() if now_s - left[2] < BUDGET_S}

    def _now(self, address: str, now_s: float) -> tuple[float, float]:
        packets, size, then_s = self._left.get(address, (self.packets, self.bytes, now_s))
        share = (now_s - then_s) / BUDGET_S
        return min(self.packets, packets + share * self.packets), min(self.bytes, size + share * self.bytes)


def parse_allowed(texts: Sequence[str]) -> tuple[Network, ...]:
    """The networks of --allow-network; ValueError for other texts."""
    try:
        return tuple(network_of(text) for text in texts)
    except ValueError as error:
        raise ValueError(f"--allow-network: {error}; it needs an address or a network, such as 10.0.0.0/8") from None
