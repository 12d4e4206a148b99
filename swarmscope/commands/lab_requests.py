"""`swarmscope lab pause` and `cancel`: requests to the process that runs a training."""

from pathlib import Path

from feedback_wire.trainings import TrainingState
from qoe_lab.running.training_folder import TrainingFolder
from swarmscope.commands import exit_on_usage_error
from swarmscope.commands.lab_trainings import DATA, named_training


def pause(training: str, /, *, data: Path = DATA) -> None:
    """Pause a running training.

    Parameters
    ----------
    training
        Name of the training, or path of its folder.
    data
        Folder with the folders of the trainings.
    """
    folder = named_training(training, data)
    if not folder.is_running():
        exit_on_usage_error(ValueError(f"no process runs {folder.path}, so there is nothing to pause"))
    folder.request_pause()
    print(f"{folder.path} pauses; continue it: swarmscope lab resume {folder.path}")


def cancel(training: str, /, *, data: Path = DATA) -> None:
    """Cancel a training permanently.

    Parameters
    ----------
    training
        Name of the training, or path of its folder.
    data
        Folder with the folders of the trainings.
    """
    folder = named_training(training, data)
    if _state(folder) is TrainingState.FINISHED:
        exit_on_usage_error(ValueError(f"{folder.path} has finished, so there is nothing to cancel"))
    folder.request_cancel()
    print(f"{folder.path} is cancelled; its captured sessions remain")


def _state(folder: TrainingFolder) -> TrainingState:
    try:
        return folder.progress().state
    except ValueError as error:
        exit_on_usage_error(error)
