"""`python -m benchmarks [NAME…]`: run the named benchmarks, or all of them; each prints one table."""

import argparse
import sys
from importlib import import_module

BENCHMARKS = {
    "coordinator": "requests a second, durable before the answer, beside nginx's proxy_pass",
    "stalls": "how long a sender waits while another key sends what costs most",
    "display_delay": "from sent_ms to the dashboard, with a 1 s poll",
    "sdk_update": "what update() costs an app, beside a log line and a histogram",
    "analyze": "recorded logs, beside a query written by hand for DuckDB",
    "many_logs": "a feedback server with 2.6 million logs: its start, a page of its catalogue",
    "history": "the table of days, beside a query written by hand over the logs",
    "names": "what names that senders make up cost the platform, beside those of an audience",
    "dashboard": "how old a picture is in the browser, how long filters take, what fifty viewers cost",
}


def main() -> None:
    """Run benchmarks one after the other."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="; ".join(f"{name}: {what}" for name, what in BENCHMARKS.items()))
    # Its own flags, its own --help.
    names, own = (sys.argv[1:2], sys.argv[2:]) if sys.argv[1:2] == ["dashboard"] else (parser.parse_args().names, [])
    names = names or list(BENCHMARKS)
    if unknown := set(names) - BENCHMARKS.keys():
        parser.error(f"no benchmark is called {', '.join(sorted(unknown))}; there are {', '.join(BENCHMARKS)}")
    for name in names:
        print(f"\n{name}: {BENCHMARKS[name]}", flush=True)
        import_module(f"benchmarks.{name}").main(*([own] if own else []))


if __name__ == "__main__":
    main()
