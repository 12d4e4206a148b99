"""`swarmscope lab import`: the label manager's CSV files with the right names."""

from pathlib import Path

from qoe_lab.dataset.label_manager_csv import read_label_manager, write_right_names
from swarmscope.commands import exit_on, exit_on_usage_error


def import_file(file: Path, /, *, into: Path) -> None:
    """Correct the column names of a CSV file of the label manager, an earlier program.

    Parameters
    ----------
    file
        The CSV file.
    into
        New CSV file, with the same values under the right names.
    """
    try:
        sessions = read_label_manager(file)
        write_right_names(sessions, into)
    except FileExistsError:
        exit_on_usage_error(ValueError(f"{into} exists; remove it, or give another --into"))
    except (OSError, ValueError) as error:
        exit_on(error)
    print(f"{into}: {len(sessions.rows)} sessions, {sessions.repeated_ids} with the id of an earlier one")
    for doubt, count in sessions.doubts.items():
        print(f"in {count} sessions, {doubt}")
