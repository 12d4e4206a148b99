"""The channels and their popularity. A few channels have most of the audience, as on an evening of a large event."""

from random import Random

# The k-th channel has about 1/k of the first channel's audience. One name is Chinese, as real names are.
CHANNEL_POPULARITY = {
    "Badminton finals": 28,
    "Swimming": 17,
    "乒乓球": 14,
    "Athletics": 12,
    "Track cycling": 10,
    "Football: semi-final": 8,
    "Artistic gymnastics": 6,
    "Olympic news": 5,
}


def choose_channel(rng: Random, *, not_again: str = "") -> str:
    """A random channel by popularity. A channel switch never selects the current channel, `not_again`."""
    choice = [channel for channel in CHANNEL_POPULARITY if channel != not_again]
    return rng.choices(choice, [CHANNEL_POPULARITY[channel] for channel in choice])[0]
