"""An edge server as an end host: a CDN node reports its own values in `extra`, which the platform can filter and average.

python examples/embed_edge_node.py http://127.0.0.1:8080
"""

import os
import sys
import time

from endhost_sdk import Telemetry


def main() -> None:
    telemetry = Telemetry(sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8080", period_s=2)
    with telemetry.session(peer_id=f"edge-{os.uname().nodename}", app="edge-cache/3", platform="linux") as session:
        for _ in range(5):
            session.update(upload_kbps=9_500_000)
            session.extra.update(load=os.getloadavg()[0], cache_hit_ratio=0.93, rack="hk-2")
            time.sleep(1)
    telemetry.close()
    print(telemetry.stats())


if __name__ == "__main__":
    main()
