"""`python -m benchmarks [NAME…]`: run the named benchmarks, or all of them. Each prints one table."""

import argparse
import sys
from importlib import import_module

BENCHMARKS = {
    "coordinator": "requests per second with durable answers, compared with nginx's proxy_pass",
    "stalls": "waiting time of a sender while another key sends the most expensive requests",
    "display_delay": "display delay: from sent_ms to the dashboard, with a poll interval of 1 s",
    "sdk_update": "cost of update() for an app, compared with a log line and a histogram",
    "analyze": "speed of analyze, compared with hand-written DuckDB queries",
    "many_logs": "start times, catalogue page and history of servers with 2.6 million logs",
    "history": "the daily table of the history, compared with a hand-written query over the logs",
    "names": "cost of invented names for the monitoring platform, compared with real names",
    "overlay_failover": "time without packets at a player of the overlay when its relay fails",
    "overlay_idle": "control traffic of an overlay node while no stream flows",
    "overlay_churn": "losses of players of the overlay when others come and go",
    "overlay_scale": "losses of 60 players of the overlay that a lack of processor time causes",
    "overlay_profiles": "one relay of the overlay under the profiles of the MoQ relay benchmark draft",
    "overlay_loss": "losses, delay and startup of a player of the overlay behind three links that lose packets",
    "overlay_pcr": "regularity of the clock of a transport stream behind four links of the overlay",
    "overlay_parity": "packets that are missed with and without parity, over the same lossy link",
    "measurement_master": "plans, idle agents, outcomes per second and returning agents of a measurement master",
    "measurement_results": "results per second of agents through to the page Network, and the processor time of each part",
    "lab_traffic": "processor time of reading a capture into slots, compared with tshark",
    "swarm_visible": "time from the kill of a relay until the page of the swarm shows it",
    "lab_scoring": "time of an inference of the QoE lab: one slot of one session, compared with scikit-learn",
    "visits": "time, bytes, layout shift and processor time of a visit with 800 live viewers, and of filters",
    "dashboard": "display delay in the browser, time of filters, and cost of fifty dashboards",
}


def main() -> None:
    """Run benchmarks one after the other."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Run the named benchmarks, or all of them. Each prints one table.",
        epilog="benchmarks:\n" + "\n".join(f"  {name:20}{what}" for name, what in BENCHMARKS.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="name of a benchmark (see below)")
    # This benchmark has its own flags and --help.
    names, own = (sys.argv[1:2], sys.argv[2:]) if sys.argv[1:2] == ["dashboard"] else (parser.parse_args().names, [])
    names = names or list(BENCHMARKS)
    if unknown := set(names) - BENCHMARKS.keys():
        parser.error(f"unknown benchmark {', '.join(sorted(unknown))}; choose from {', '.join(BENCHMARKS)}")
    for name in names:
        print(f"\n{name}: {BENCHMARKS[name]}", flush=True)
        import_module(f"benchmarks.{name}").main(*([own] if own else []))


if __name__ == "__main__":
    main()
