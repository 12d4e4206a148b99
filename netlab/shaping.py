"""How one direction of a link gets its shape, at the egress of the sending interface.

With netem, one qdisc does all. Without it: tbf gives the rate and the queue, a BPF filter drops packets before the queue, and the
delayer process holds them after it. Loss comes before the queue in both, so a lost packet takes no part of the rate.
"""

import math
from typing import Any

from pyroute2 import IPRoute

from netlab import drop_filter
from netlab.offer import ROOT_HANDLE, Offer, remove_root_qdisc
from netlab.topology import Shape

FRAME_BYTES = 1514
LEAST_BURST_BYTES = 2 * FRAME_BYTES
BURST_S = 0.01
"""How long tbf may send faster than its rate after a pause: longer than the kernel's timers can be late."""


def needs_delayer(forth: Shape, back: Shape, offer: Offer) -> bool:
    """Whether the delayer process has to carry the frames of a link."""
    return offer.netem is not None and (forth.delay_ms > 0 or back.delay_ms > 0)


def tbf_parameters(shape: Shape) -> dict[str, int]:
    """Rate in bytes per second; burst and queue in bytes."""
    if shape.rate_kbps is None:
        raise ValueError("a shape without a rate has no tbf")
    rate = shape.rate_kbps * 125
    burst = max(LEAST_BURST_BYTES, math.ceil(rate * BURST_S))
    return {"rate": round(rate), "burst": burst, "limit": burst + max(FRAME_BYTES, math.ceil(rate * shape.queue_ms / 1000))}


def netem_parameters(shape: Shape) -> dict[str, Any]:
    """As pyroute2 takes them: times in microseconds, loss in percent, rate in bytes per second, the queue in packets."""
    parameters = {"delay": round(shape.delay_ms * 1000), "jitter": round(shape.jitter_ms * 1000), "loss": shape.loss * 100}
    if shape.rate_kbps is None:
        return parameters | {"limit": 100_000}
    rate = shape.rate_kbps * 125
    # netem counts packets that it delays as queued.
    held_ms = shape.queue_ms + shape.delay_ms + shape.jitter_ms
    return parameters | {"rate": round(rate), "limit": max(2, math.ceil(rate * held_ms / 1000 / FRAME_BYTES))}


def read_back(qdisc: Any) -> tuple[str, float | None, int] | None:  # noqa: ANN401 - a message of pyroute2
    """Kind, rate and longest queue of a qdisc that `apply` made, as the kernel reports it; None for another qdisc."""
    kind, options = str(qdisc.get_attr("TCA_KIND")), qdisc.get_attr("TCA_OPTIONS")
    if kind == "tbf":
        values = options.get_attr("TCA_TBF_PARMS")
        return kind, values["rate"] / 125, values["limit"]
    if kind == "netem":
        rate = options.get_attr("TCA_NETEM_RATE")
        return kind, rate["rate"] / 125 if rate else None, options["limit"]
    return None


def apply(routes: IPRoute, index: int, shape: Shape, *, offer: Offer, before: Shape | None) -> None:
    """Give the interface `shape`; `before` is what it has now. The thread is in the interface's namespace."""
    if offer.netem is None:
        routes.tc("replace", "netem", index, ROOT_HANDLE, **netem_parameters(shape))
        return
    if shape.rate_kbps is not None:
        routes.tc("replace", "tbf", index, ROOT_HANDLE, **tbf_parameters(shape))
    elif before is not None and before.rate_kbps is not None:
        remove_root_qdisc(routes, index)
    if before is None and offer.drop_filter is None:
        routes.tc("add", "clsact", index)
    if before is not None or shape.loss:
        drop_filter.install(index, shape.loss)
