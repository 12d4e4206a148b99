"""The master of active measurement: it admits requests, selects agents, schedules operations, and relays and records outcomes.

Decisions are in plain modules without a clock or a socket, such as `dispatcher.py`, `agent_membership.py` and `target_rules.py`.
`requester_api.py` and `agent_api.py` put them behind HTTP.
"""
