"""What the kernel offers to a session, found in a process of its own: without root, it enters a user namespace for this.

As a program, it prints the offer as JSON.
"""

import json
import subprocess
import sys
from contextlib import suppress
from dataclasses import asdict

from netlab import Offer, enter_user_namespace, probe


def kernel_offer() -> Offer:
    """The offer to a session that the caller starts. OSError if it cannot be found out."""
    own = probe()
    if own.namespaces is None:
        return own
    command = [sys.executable, "-m", "qoe_lab.running.kernel_offer"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - no shell
    if found.returncode != 0:
        raise OSError(f"what the kernel offers to labs cannot be found out: {found.stderr.strip()[-300:]}")
    return Offer(**json.loads(found.stdout))


def why_no_sessions(offer: Offer) -> str | None:
    """Why no session can run here; None if sessions can run."""
    if offer.namespaces is not None:
        return f"sessions need network namespaces: {offer.namespaces}"
    if offer.netem is None:
        return None
    lacking = {"a rate (sch_tbf)": offer.tbf, "loss (cls_bpf)": offer.drop_filter, "delay and capture": offer.packet_sockets}
    missing = [f"{what}: {why}" for what, why in lacking.items() if why is not None]
    return f"this kernel cannot shape links: {'; '.join(missing)}" if missing else None


def main() -> None:
    """Print the offer."""
    with suppress(OSError):  # the offer says so
        enter_user_namespace()
    sys.stdout.write(json.dumps(asdict(probe())))


if __name__ == "__main__":
    main()
