"""The timers of the keep-alive protocol, checked against each other (Emodis, section 6)."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class KeepaliveTimers:
    """All in seconds, all on monotonic clocks.

    The agent must notice a broken link first, so that it has stopped when the master frees its destinations. The master must notice
    it before the agent comes back, so that it has cleared the agent's state: agent < master < agent + reconnect - keepalive.
    """

    keepalive_s: float = 5.0
    agent_s: float = 15.0
    master_s: float = 20.0
    reconnect_s: float = 12.0

    def __post_init__(self) -> None:
        if not 0 < self.keepalive_s < self.agent_s:
            raise ValueError(
                f"--keepalive-s is {self.keepalive_s:g} and --agent-timer-s {self.agent_s:g}; "
                "the agent's timer must be longer than the time between keep-alives, better three times as long"
            )
        latest_s = self.agent_s + self.reconnect_s - self.keepalive_s
        if not self.agent_s < self.master_s < latest_s:
            raise ValueError(
                f"--master-timer-s is {self.master_s:g}; it must be above --agent-timer-s ({self.agent_s:g}) and below "
                f"--agent-timer-s + --reconnect-s - --keepalive-s ({latest_s:g})"
            )
