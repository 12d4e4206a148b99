"""Labels: what a session was like, from the events of its client. Pure: no file, clock or network.

`session_labels.py` has the labels of a whole session, `slot_labels.py` those of each second, and `server_witness.py` what the log
of the content server says about the same session.
"""
