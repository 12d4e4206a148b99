"""Estimates from the samples of a measurement: pure functions without sockets, clocks and files.

Each module names the units of its arguments and the publication that it follows.
"""
