"""What is on. A few channels have most of the audience, as on every evening of a large event."""

from random import Random

# The k-th channel draws about 1/k of what the first one draws; one name is Chinese, because real ones are.
AUDIENCE_OF_CHANNEL = {
    "Badminton finals": 28,
    "Swimming": 17,
    "乒乓球": 14,
    "Athletics": 12,
    "Track cycling": 10,
    "Football: semi-final": 8,
    "Artistic gymnastics": 6,
    "Olympic news": 5,
}


def choose_channel(dice: Random, *, not_again: str = "") -> str:
    """A channel by popularity; a viewer who zaps takes another than the one that is on."""
    choice = [channel for channel in AUDIENCE_OF_CHANNEL if channel != not_again]
    return dice.choices(choice, [AUDIENCE_OF_CHANNEL[channel] for channel in choice])[0]
