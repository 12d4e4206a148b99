"""Analysis of logs, for the `analyze` command, notebooks and the monitoring platform.

`reading` verifies logs, `geo` locates addresses, `quality` has the quality models (the MOS formula: `quality/mos.py`), `measures`
defines each measure once, `messages` and `history` are the engines that hold messages and sums.
"""
