"""`swarmscope overlay list`."""

import asyncio
import json

from overlay.membership import offers_at_bootstrapper
from swarmscope.commands import exit_on
from swarmscope.commands.overlay_running import Joining, settings


def list_offers(name: str, /, *, joining: Joining) -> None:
    """Print the streams of the overlay, and the files of each.

    Parameters
    ----------
    name
        Name of a node in the topology file. The node may be running; the command does not disturb it.
    """
    try:
        offers = asyncio.run(offers_at_bootstrapper(settings(name, joining)))
    except ConnectionError as error:
        exit_on(error, "swarmscope overlay list")
    for offer in offers:
        print(json.dumps({"stream": offer.stream, "source": offer.source, "files": offer.files}))
