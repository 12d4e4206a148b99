"""How the subcommands of `swarmscope lab` find a training."""

from pathlib import Path

from qoe_lab.running.training_folder import SETTINGS_FILE, NoTrainingError, TrainingFolder, open_training_folder
from swarmscope.commands import exit_on_usage_error

DATA = Path("trainings")


def named_training(name: str, data: Path) -> TrainingFolder:
    """The training with this path, or with this name in `data`. Without one, the command ends."""
    path = Path(name) if (Path(name) / SETTINGS_FILE).exists() else data / name
    try:
        return open_training_folder(path)
    except (NoTrainingError, OSError) as error:
        exit_on_usage_error(error)
