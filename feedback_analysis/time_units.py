"""Lengths of time in milliseconds. A day is 24 hours of UTC."""

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS
FOREVER_MS = 2**63 - 1
"""Later than every time that a table can hold."""
