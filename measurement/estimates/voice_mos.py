"""The mean opinion score (MOS) of a voice call, estimated from delay and loss by the E-model (ITU-T G.107), simplified.

The simplification is that of Cole and Rosenbluth (2001) for the codec G.711: no echo, no noise, random loss. The result is an
estimate of what listeners would answer, and is labelled so.
"""

import math

BUFFER_MS = 60.0
"""The jitter buffer of the listener, added to the delay of the network."""
BEST_R = 93.2
BEST_MOS, WORST_MOS = 4.5, 1.0


def voice_mos(one_way_delay_ms: float, loss: float, *, buffer_ms: float = BUFFER_MS) -> float:
    """The estimated MOS, 1 to 4.5, for a delay of the network in milliseconds and a share of lost packets from 0 to 1.

    ValueError for a negative delay or a loss outside of 0 to 1.
    """
    if not (0 <= loss <= 1 and one_way_delay_ms >= 0 and buffer_ms >= 0):
        raise ValueError(f"a delay of {one_way_delay_ms} ms with a loss of {loss} is not possible")
    delay_ms = one_way_delay_ms + buffer_ms
    return mos_of_rating(BEST_R - _delay_impairment(delay_ms) - _loss_impairment(loss))


def mos_of_rating(rating: float) -> float:
    """The MOS of a transmission rating R (G.107, annex B), clamped to 1 to 4.5."""
    if rating <= 0:
        return WORST_MOS
    mos = 1 + 0.035 * rating + 7e-6 * rating * (rating - 60) * (100 - rating)
    return min(max(mos, WORST_MOS), BEST_MOS)


def _delay_impairment(delay_ms: float) -> float:
    """Id. Above 177.3 ms, people begin to talk at the same time."""
    return 0.024 * delay_ms + 0.11 * max(delay_ms - 177.3, 0)


def _loss_impairment(loss: float) -> float:
    """Ie of G.711 with packet loss concealment."""
    return 30 * math.log1p(15 * loss)
