"""Every byte that one Swarmscope process writes and another reads.

The processes meet only in this package, and the SDK ships with it, so it needs only the standard library.
"""
