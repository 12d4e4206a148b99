"""A process that owns labs, for tests of what is left of them: `python owner.py TASK …`.

`hold` builds a lab, starts processes in it, prints what there is and waits; `cycle COUNT LIMIT` builds and removes COUNT labs while
the kernel permits at most LIMIT namespaces. With `NETLAB_ROOTLESS` set it enters a user namespace first.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

from netlab import Lab, enter_user_namespace, read_topology

TOPOLOGY = {
    "nodes": {"a": {}, "r": {"forwards": True}, "b": {}},
    "links": [{"between": ["a", "r"], "rate_kbps": 5000, "delay_ms": 5, "loss": 0.01}, {"between": ["r", "b"]}],
}
SLEEP = "import time; print(flush=True); time.sleep(600)"
SLEEP_IN_A_CHILD = f"import subprocess, sys; subprocess.run([sys.executable, '-I', '-S', '-c', {SLEEP!r}])"


def hold() -> None:
    lab = Lab(read_topology(json.dumps(TOPOLOGY)))
    process = lab.start("b", [sys.executable, "-I", "-S", "-c", SLEEP_IN_A_CHILD], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()  # the child runs
    inode = Path(f"/proc/{process.pid}/ns/net").stat().st_ino
    print(json.dumps({"run": lab.run, "namespace": inode}), flush=True)
    sys.stdin.read()


def cycle(count: int, limit: int) -> None:
    Path("/proc/sys/user/max_net_namespaces").write_text(str(limit), encoding="ascii")
    with Lab(read_topology(json.dumps(TOPOLOGY))):  # what the first lab loads stays loaded
        pass
    descriptors, links = open_descriptors(), outer_links()
    for _ in range(count):
        with Lab(read_topology(json.dumps(TOPOLOGY))) as lab:
            lab.cut("r-b")
    print(json.dumps({"descriptors": open_descriptors() - descriptors, "links": outer_links() - links}), flush=True)


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def outer_links() -> int:
    return len(Path("/proc/thread-self/net/dev").read_text(encoding="ascii").splitlines())


if __name__ == "__main__":
    if "NETLAB_ROOTLESS" in os.environ:
        enter_user_namespace()
    {"hold": hold, "cycle": cycle}[sys.argv[1]](*map(int, sys.argv[2:]))
