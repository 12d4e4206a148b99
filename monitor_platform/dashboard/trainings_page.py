"""The Trainings page: begin, pause, resume and cancel trainings of the QoE lab, and see how far they are.

Its script asks the platform every few seconds, because trainings do not depend on records. Its own parameter in the address is
`p.training`, the name of the training that is shown with its sessions.
"""

import json

from feedback_wire.trainings import CONGESTION_CONTROLS, PLAYED_BY, TRACES, SessionStatus
from monitor_platform.dashboard.dashboard_page import DashboardPage

_MIXED = "hls,dash"
_PLAYED_BY = {source: clients for source, clients in PLAYED_BY.items() if source != "twitch"} | {
    _MIXED: ("headless", "hls.js,dash.js", "headless,hls.js,dash.js")
}
"""What the form offers. A training of twitch is refused: sessions reach no Internet. A script may mix in other ways."""

TRAINING_CHOICES = {
    "sources": list(_PLAYED_BY),
    "congestion_controls": CONGESTION_CONTROLS,
    "traces": TRACES,
    "played_by": json.dumps(_PLAYED_BY),
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
