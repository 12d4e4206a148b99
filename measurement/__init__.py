"""Active measurement: clients request measurements, and a master lets agents measure the network in turn.

An operation is one measurement of one destination by one agent with one technique (`operation.py`). Each operation ends with
exactly one outcome (`outcome.py`). The design follows Emodis (client, master, agent; PM_SYN and PM_RAN).
"""
