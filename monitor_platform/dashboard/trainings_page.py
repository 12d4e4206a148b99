"""The Trainings page: begin, pause, resume and cancel trainings of the QoE lab, and see how far they are.

Its script asks the platform every few seconds, because trainings do not depend on records. Its own parameter in the address is
`p.training`, the name of the training that is shown with its sessions.
"""

import json

from feedback_wire.trainings import CONGESTION_CONTROLS, PLAYED_BY, SOURCES, TRACES, SessionStatus
from monitor_platform.dashboard.dashboard_page import DashboardPage

TRAINING_CHOICES = {
    "sources": [source for source in SOURCES if source != "twitch"],  # its trainings are refused: sessions reach no Internet
    "congestion_controls": CONGESTION_CONTROLS,
    "traces": TRACES,
    "played_by": json.dumps(PLAYED_BY),
    "statuses": [(int(status), status.name.lower().replace("_", " ")) for status in SessionStatus],
}
"""What the template offers to choose from."""

TRAININGS_PAGE = DashboardPage(
    name="trainings",
    path="/trainings",
    title="Trainings",
    template="trainings.html",
    script=True,
    filters=False,
    ranged=False,
    tiles=False,
    stands_alone=True,
    reads_back=True,
    offered=lambda state: state.has_lab,
)
