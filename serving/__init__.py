"""What each process of ours needs that listens on a socket or must not lose bytes.

A module belongs here when at least two packages import it; `tests/test_static_promises.py` checks that. Nothing here knows what
a coordinator, a feedback server or a monitoring platform does.
"""
