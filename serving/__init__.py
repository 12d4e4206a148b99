"""Code that every listening process, and every process that must not lose bytes, needs.

A module belongs here if at least two packages import it; `tests/test_static_promises.py` checks that. No module here knows what a
coordinator, a feedback server or a monitoring platform does.
"""
