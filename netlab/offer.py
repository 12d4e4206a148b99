"""What this machine's kernel offers for links, found by trying it in a namespace that is discarded afterwards.

A lab that needs something else is refused before anything is built, with a list of what is missing. No property of a link is left
out silently: a link without its loss would give wrong figures.
"""

import os
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from netlab import drop_filter, kernel
from netlab.packets import packet_socket
from netlab.topology import Link, Shape

ROOT_HANDLE = 0x10000
ROOT = 0xFFFFFFFF
"""TC_H_ROOT"""


class CannotBuildError(RuntimeError):
    """The kernel does not offer what the lab needs; the message lists it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """None: the kernel offers it. A text: why not."""

    namespaces: str | None
    netem: str | None
    """Rate, delay, jitter, loss and queue in one qdisc."""
    tbf: str | None
    """Rate and queue."""
    drop_filter: str | None
    """Loss: a BPF program at the egress."""
    packet_sockets: str | None
    """Capture, and delay by a process of ours."""


def probe() -> Offer:
    """Try each part. Takes about 20 ms and leaves nothing behind."""
    try:
        namespace = kernel.new_namespace()
    except OSError as error:
        why = f"{error.strerror}; run as root, or call netlab.enter_user_namespace() first"
        return Offer(namespaces=why, netem=why, tbf=why, drop_filter=why, packet_sockets=why)
    try:
        with kernel.inside(namespace), closing(IPRoute()) as routes:
            routes.link("add", ifname="probe0", kind="veth", peer={"ifname": "probe1"})
            index = routes.link_lookup(ifname="probe0")[0]
            return Offer(
                namespaces=None,
                netem=_failure(lambda: _try_qdisc(routes, index, "netem", delay=1000)),
                tbf=_failure(lambda: _try_qdisc(routes, index, "tbf", rate=125_000, burst=3000, limit=10_000)),
                drop_filter=_failure(lambda: _try_drop_filter(routes, index)),
                packet_sockets=_failure(_try_packet_socket),
            )
    finally:
        os.close(namespace)


def _failure(attempt: Callable[[], None]) -> str | None:
    try:
        attempt()
    except NetlinkError as error:
        return f"the kernel answers: {os.strerror(error.code)}"
    except OSError as error:
        return f"the kernel answers: {error.strerror}"
    return None


def _try_qdisc(routes: IPRoute, index: int, kind: str, **parameters: Any) -> None:  # noqa: ANN401 - as pyroute2 takes them
    routes.tc("add", kind, index, ROOT_HANDLE, **parameters)
    remove_root_qdisc(routes, index)


def remove_root_qdisc(routes: IPRoute, index: int) -> None:
    """Remove the queue discipline at the egress of the interface `index`; NetlinkError if there is none."""
    routes.tc("del", index=index, parent=ROOT)


def _try_drop_filter(routes: IPRoute, index: int) -> None:
    routes.tc("add", "clsact", index)
    drop_filter.install(index, 0.5)


def _try_packet_socket() -> None:
    packet_socket().close()


def missing(links: Iterable[Link], offer: Offer) -> list[str]:
    """What the links need and the kernel does not offer, one text for each link and need."""
    if offer.namespaces:
        return [f"network namespaces: {offer.namespaces}"]
    if not offer.netem:
        return []
    return [
        f"link {link.name!r}: {need}, and neither is offered (netem: {offer.netem}; {reason})"
        for link in links
        for need, reason in _unmet({link.forth, link.back}, offer)
    ]


def _unmet(shapes: set[Shape], offer: Offer) -> list[tuple[str, str]]:
    unmet = []
    if offer.tbf and any(shape.rate_kbps is not None for shape in shapes):
        unmet.append(("a rate needs sch_netem or sch_tbf", f"tbf: {offer.tbf}"))
    if offer.drop_filter and any(shape.loss for shape in shapes):
        unmet.append(("loss needs sch_netem or a BPF filter at sch_clsact", f"filter: {offer.drop_filter}"))
    if offer.packet_sockets and any(shape.delay_ms for shape in shapes):
        unmet.append(("delay needs sch_netem or packet sockets", f"packet sockets: {offer.packet_sockets}"))
    return unmet
