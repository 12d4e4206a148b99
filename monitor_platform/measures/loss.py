"""How many messages of a session are missing, and how many of those one session can have sent.

A sender chooses the numbers of its messages. Two messages with 0 and 2^53 - 1 would claim that 9 * 10^15 were lost. So a session
loses at most what it can have sent between its first and its last message; what is beyond is counted as implausible, not as lost.
"""

HIGHEST_RATE_PER_S = 10
"""Messages a second. The SDK sends one in 30 s unless told otherwise; no player reports ten times a second for long."""

ALLOWANCE = 1_000
"""Messages beyond that rate: what the SDK's buffer holds by default, and sends at once when it has been offline."""


def plausible(missing: str, elapsed_ms: str) -> str:
    """SQL: how many of `missing` messages a session can have sent within `elapsed_ms`; both are SQL of whole numbers."""
    return f"least({missing}, ({elapsed_ms}) * {HIGHEST_RATE_PER_S} // 1000 + {ALLOWANCE})"


def plausible_number(missing: int, elapsed_ms: int) -> int:
    """The same for numbers."""
    return min(missing, elapsed_ms * HIGHEST_RATE_PER_S // 1000 + ALLOWANCE)
