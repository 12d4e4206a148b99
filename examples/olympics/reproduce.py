"""Reproduces the paper's Figures 4(a-d) and 5(a-b) and Table 1 from simulated logs of the whole event.

    python examples/olympics/reproduce.py OUT [--scale 0.01]

OUT gets the logs, their true measures, the history, and figures.html. Existing results in OUT are used again. The script only calls
swarmscope commands, and prints them.
"""

import argparse
import json
import subprocess
import sys
from math import nan
from pathlib import Path
from statistics import fmean

from figures import write_page

HONG_KONG = "Asia/Hong_Kong"
CROWD_DAY = ("2012-08-06T16:00Z", "2012-08-07T16:00Z")
"""August 7 in Hong Kong."""

TABLE_1 = {"PCCW": 0.3208, "HKBN": 0.1357, "HGC": 0.0555, "i-Cable": 0.0357}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--scale", type=float, default=1.0, help="share of the 177,245 viewers, from 0.001")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    logs, truth_file, history = options.out / "logs", options.out / "truth.json", options.out / "history"
    if not truth_file.exists():
        swarmscope("simulate", "olympics", "--into", logs, "--truth", truth_file, "--scale", options.scale)
    swarmscope("history", "build", logs, "--into", history)
    shown = {figure: show(history, figure) for figure in ("daily", "online", "quality")}
    shown["isps"] = [row for row in show(history, "isps", "--unit", "year") if row["period"] == "all"]
    shown["minutes"] = show(history, "minutes", "--from", CROWD_DAY[0], "--to", CROWD_DAY[1])
    truth = json.loads(truth_file.read_text(encoding="utf-8"))
    lines = compared(shown, truth)
    for line in lines:
        print(" | ".join(f"{cell:<34}" for cell in line))
    write_page(options.out / "figures.html", shown, lines)
    print(f"\nThe figures: {options.out / 'figures.html'}")
    wrong = disagreements(shown, truth)
    sys.exit("\n".join(wrong) if wrong else 0)


def swarmscope(*arguments: object) -> None:
    command = [sys.executable, "-m", "swarmscope", *map(str, arguments)]
    print("$ swarmscope", *command[3:], flush=True)
    subprocess.run(command, check=True)


def show(history: Path, figure: str, *more: str) -> list[dict]:
    command = [sys.executable, "-m", "swarmscope", "history", "show", str(history), "--figure", figure, "--timezone", HONG_KONG]
    return json.loads(subprocess.run([*command, *more, "--json"], check=True, capture_output=True).stdout)


def compared(shown: dict, truth: dict) -> list[tuple[str, str, str]]:
    """A table of the paper's figures and the figures of this run."""
    daily, online, quality, minutes = (shown[name] for name in ("daily", "online", "quality", "minutes"))
    others, ours = 1 - sum(TABLE_1.values()), 1 - of_users(shown["isps"], *TABLE_1)
    before, crowd, after = (mean_mos(minutes, begin) for begin in (9 * 60, 9 * 60 + 31, 10 * 60 + 30))
    return [
        ("Figure or table", "the paper", "here"),
        ("4(a) distinct users", "177,245", f"{daily[-1]['cumulative_peers']:,}"),
        ("4(a) new users a day", "a few thousand", span(daily, "new_peers", "{:,.0f}")),
        ("4(b) upload, kbit/s", "almost all 800 to 900", span(daily, "upload_kbps", "{:.0f}")),
        ("4(b) download, kbit/s", "almost all 800 to 900", span(daily, "download_kbps", "{:.0f}")),
        ("4(c) minutes per view", "almost all over 40", span(online, "online_s_per_view", "{:.1f}", 1 / 60)),
        ("4(c) minutes per user", "more than 60 on average", span(online, "online_s_per_peer", "{:.1f}", 1 / 60)),
        ("4(d) continuity", "above 0.988", span(quality, "continuity", "{:.4f}")),
        ("5(a) MOS", "about 3.8", span(quality, "mos", "{:.2f}")),
        ("5(b) MOS around 9:30", "a temporary dip", f"{before:.2f}, then {crowd:.2f}, an hour later {after:.2f}"),
        ("5(b) most at once", "about 7,000", f"{max(minute['concurrent_peers'] for minute in minutes):,.0f}"),
        *(
            (f"Table 1: {isp}", f"{share:.2%} of addresses", f"{of_users(shown['isps'], isp):.2%} of users")
            for isp, share in TABLE_1.items()
        ),
        ("Table 1: others", f"{others:.2%} of addresses", f"{ours:.2%} of users"),
        ("true measures of the simulator", f"{truth['peers']:,} users", f"{truth['messages']:,} messages"),
    ]


def disagreements(shown: dict, truth: dict) -> list[str]:
    """Differences between the platform's measures and the true measures, per day and per minute."""
    same = {
        "daily": {
            "new_peers": "new_users",
            "total_peers": "total_users",
            "cumulative_peers": "cumulative_users",
            "upload_kbps": "upload_kbps",
        },
        "online": {"online_s_per_view": "online_s_per_view", "online_s_per_peer": "online_s_per_user"},
        "quality": {"messages": "messages", "continuity": "continuity", "mos": "mos"},
    }
    wrong = [
        f"{day['date']}: {figure} says {ours} {row[ours]}, the truth is {day[theirs]}"
        for figure, names in same.items()
        for row, day in zip(shown[figure], truth["days"], strict=True)
        for ours, theirs in names.items()
        if abs(row[ours] - day[theirs]) > 1e-9 * abs(day[theirs])
    ]
    concurrent = {row["at"]: row["concurrent_peers"] for row in shown["minutes"]}
    begin_ms = min(concurrent) - 60_000
    true_counts = enumerate(truth["minutes"]["concurrent_peers"], 1)
    return wrong + [
        f"minute {minute}: {concurrent.get(begin_ms + minute * 60_000)} at once, the truth is {peers}"
        for minute, peers in true_counts
        if concurrent.get(begin_ms + minute * 60_000) != peers
    ]


def span(rows: list[dict], name: str, form: str, times: float = 1.0) -> str:
    values = [row[name] * times for row in rows]
    return f"{form.format(min(values))} to {form.format(max(values))}"


def mean_mos(minutes: list[dict], begin: int) -> float:
    """The mean MOS of five minutes; NaN without viewers, which is possible in a small audience."""
    known = [minute["mos"] for minute in minutes[begin : begin + 5] if minute["mos"] is not None]
    return fmean(known) if known else nan


def of_users(isps: list[dict], *names: str) -> float:
    return sum(row["share"] for row in isps if row["isp"] in names)


if __name__ == "__main__":
    main()
