"""A simulated audience: end hosts that watch, zap, stall and leave, and report it through the SDK's own messages over real HTTP.

What they do is decided by pure functions of a seeded `random.Random` and of time; only `viewer`, `uplink` and `simulation` touch
the clock and the network.
"""
