"""Compares the protocol of the label manager's notebook with honest ones, on data that has the same faults.

    python examples/label_manager/reproduce.py OUT [--sessions 11758]
    python examples/label_manager/reproduce.py OUT --csv FILE --external FILE

OUT gets the generated CSV files, the same with right names, and figures.html. With --csv, the given files are used instead.
"""

import argparse
from pathlib import Path

from generate import write_files
from protocols import PROTOCOLS, Score, Sessions, campaign_probe, copies_in_test, external, sessions_of
from report import write_page

from qoe_lab.dataset.label_manager_csv import ImportedSessions, read_label_manager, write_right_names
from qoe_lab.traffic.label_manager_columns import WRITTEN_AS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--sessions", type=int, default=11_758, help="sessions to generate, from 1000")
    parser.add_argument("--csv", type=Path, help="a CSV file of the label manager, instead of a generated one")
    parser.add_argument("--external", type=Path, help="a second file, from another network; needs --csv")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    files = (options.csv, options.external) if options.csv else write_files(options.out, max(options.sessions, 1000))
    imported = [read_label_manager(path) for path in files if path is not None]
    for path, sessions in zip(files, imported, strict=False):
        into = options.out / f"{path.stem}-right-names.csv"
        into.unlink(missing_ok=True)
        write_right_names(sessions, into)
    sessions, *others = [sessions_of(each) for each in imported]
    tables = {label: scores(label, sessions, others) for label in ("stalled", "quality")}
    for label, table in tables.items():
        print(f"\n{label}: accuracy, balanced accuracy, macro F1, recall of the rarest class")
        for name, score in table.items():
            print(f"{name:<34}{score.accuracy:>8.3f}{score.balanced:>8.3f}{score.macro_f1:>8.3f}{score.rarest_recall:>8.0%}")
    facts = [*described(imported), *confounded(sessions)]
    print("", *facts, sep="\n")
    write_page(options.out / "figures.html", tables, sessions, facts)
    print(f"\nThe figures: {options.out / 'figures.html'}")


def scores(label: str, sessions: Sessions, others: list[Sessions]) -> dict[str, Score]:
    """The score of each protocol."""
    truth = getattr(sessions, label)
    table = {name: protocol(sessions, truth) for name, protocol in PROTOCOLS.items() if _can_run(name, sessions)}
    for other in others:
        table["external: learn here, test there"] = external(sessions, truth, other, getattr(other, label))
    return table


def _can_run(name: str, sessions: Sessions) -> bool:
    return "campaign" not in name or len(set(sessions.campaigns)) > 1


def described(imported: list[ImportedSessions]) -> list[str]:
    wrong = sum(written != right for written, right in WRITTEN_AS.items())
    return [
        f"Of the {len(WRITTEN_AS)} statistics of a file, {wrong} have another statistic's name; the importer corrects them. "
        + "; ".join(f"{len(each.rows):,} sessions, {each.repeated_ids:,} with the id of another one" for each in imported)
        + "."
    ]


def confounded(sessions: Sessions) -> list[str]:
    if len(set(sessions.campaigns)) < 2:
        return []
    probe = campaign_probe(sessions, sessions.stalled)
    by_campaign = [float(sessions.stalled[sessions.campaigns == each].mean()) for each in (0, 1)]
    alone = float(((sessions.campaigns == 0) == sessions.stalled).mean())
    copies = copies_in_test(sessions.stalled), copies_in_test(sessions.quality)
    return [
        f"In the first campaign {by_campaign[0]:.0%} of the sessions stalled, in the second one {by_campaign[1]:.0%}. The campaign "
        f"alone predicts the label with an accuracy of {alone:.3f}, and the features show the campaign with a balanced accuracy of "
        f"{probe.balanced:.3f}.",
        f"In the leaky protocol, {copies[0]:.0%} (two classes) and {copies[1]:.0%} (three classes) of the tested sessions are "
        "copies of sessions that the forest has learned.",
    ]


if __name__ == "__main__":
    main()
