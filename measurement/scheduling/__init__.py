"""When each operation starts. Pure and without a clock: the caller states what has ended and what time it is.

The master drives a `Board` with real events; a dry run and the tests drive it in virtual time (`virtual_time.py`). An agent drives
an `AgentQueue` for PM_RAN.
"""
