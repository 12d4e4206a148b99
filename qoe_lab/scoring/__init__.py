"""Applies a stored model to packets: each second of each session that receives enough to be video gets an inference.

`session_scorer.py` infers from slots, `client_sessions.py` finds the sessions in packets, and `inference_messages.py` makes the
messages that a coordinator accepts. The same code reads a file and a live capture.
"""
