"""Every byte that one Swarmscope process writes and another reads.

The packages of the house meet only here, so this one needs nothing but the standard library.
"""
