"""Features that a model must not see, because they are the answer, or say which session or lab it is.

Models see only what `traffic/` counts from packets. This list is the second lock: a column of the tables whose name means the
truth, the plan or an identity is refused, even if someone adds it to the features of the traffic.
"""

import re
from collections.abc import Iterable

_ANSWERS = ("state", "stall", "height", "startup", "mos", "buffer", "switch", "decoded", "dropped_frames", "played")
_PLANS = ("limit", "goodput", "training", "session", "block", "attempt", "split", "content", "source_id", "queue_ms", "loss_rate")
_IDENTITIES = ("address", "port", "begin_ms", "end_ms", "wall_ms", "ttl", "slot", "number", "sha256", "host")
_FORBIDDEN = re.compile(rf"(?:^|_)(?:{'|'.join((*_ANSWERS, *_PLANS, *_IDENTITIES))})")


def forbidden(names: Iterable[str]) -> list[str]:
    """Those of the names that a model must not see."""
    return [name for name in names if _FORBIDDEN.search(name)]


def check_features(names: Iterable[str]) -> None:
    """ValueError if a model must not see one of the features."""
    if found := forbidden(names):
        raise ValueError(f"{', '.join(found)} must not be features: they are the truth, the plan of the lab, or an identity")
