"""Networks on one machine: namespaces joined by links with a rate, delay, jitter, loss and queue.

A lab has no names in the kernel. Its namespaces are held open by the process that builds it and by the processes that run in it,
so the kernel removes them when these processes end, after SIGKILL too. A keeper process (`keeper.py`) ends the processes that
would otherwise stay behind.

    with Lab(read_topology(path.read_text("utf-8"))) as lab:
        server = lab.start("n1", ["python3", "-m", "http.server"])
        lab.cut("n1-n2")
"""

from netlab.capture import Capture, CapturedFrame, read_capture
from netlab.doors import Doors
from netlab.keeper import end_run, runs
from netlab.kernel import enter_user_namespace
from netlab.lab import AppliedQueue, Lab, LinkCounters
from netlab.lab_process import Door, LabProcess, LabProgram
from netlab.offer import CannotBuildError, Offer, probe
from netlab.server_socket import ServerSocket
from netlab.topology import Link, Shape, Topology, TopologyError, read_topology

__all__ = [
    "AppliedQueue",
    "CannotBuildError",
    "Capture",
    "CapturedFrame",
    "Door",
    "Doors",
    "Lab",
    "LabProcess",
    "LabProgram",
    "Link",
    "LinkCounters",
    "Offer",
    "ServerSocket",
    "Shape",
    "Topology",
    "TopologyError",
    "end_run",
    "enter_user_namespace",
    "probe",
    "read_capture",
    "read_topology",
    "runs",
]
