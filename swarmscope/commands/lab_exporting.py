"""`swarmscope lab export`, and the export at the end of a training."""

from pathlib import Path

from qoe_lab.dataset.export import CARD
from qoe_lab.dataset.export import export as export_dataset
from qoe_lab.running.training_folder import TrainingFolder
from swarmscope.commands import exit_on
from swarmscope.commands.lab_trainings import DATA, named_training


def export(training: str, /, *, data: Path = DATA) -> None:
    """Export the data set of a training.

    Parameters
    ----------
    training
        Name of the training, or path of its folder.
    data
        Folder with the folders of the trainings.
    """
    folder = named_training(training, data)
    try:
        export_training(folder)
    except (OSError, ValueError) as error:
        exit_on(error)


def export_training(folder: TrainingFolder) -> None:
    """Write the data set, and print what it has."""
    counts = export_dataset(folder.path)
    invalid = sum(counts.invalid.values())
    print(f"data set {folder.dataset}: {counts.valid} valid sessions, {invalid} others, {counts.slots} slots", flush=True)
    for reason, count in sorted(counts.invalid.items()):
        print(f"not valid: {reason}, {count}", flush=True)
    for doubt, count in sorted(counts.doubts.items()):
        print(f"doubt: {doubt}, {count}; see {CARD}", flush=True)
