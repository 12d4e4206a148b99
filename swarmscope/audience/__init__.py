"""A simulated audience: end hosts that watch, switch channels, stall and leave. They send the SDK's own messages over HTTP.

Pure functions of a seeded `random.Random` and of time decide what happens. Only `simulated_player`, `delivery` and `simulation` use
the clock and the network.
"""
