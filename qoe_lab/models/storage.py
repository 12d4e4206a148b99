"""Stored models: arrays in `model.npz`, and everything else in a card, `model.json`. Loading runs no code from the files.

The card has the SHA-256 of the arrays, which is checked before they are read. The hash finds damage, not attacks: an attacker who
can write one file can write both. So everything that is read is checked, too: names, types, shapes, numbers, and that trees are
trees.
"""

import hashlib
import io
import json
import lzma
import os
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qoe_lab.models.calibration import ProbabilityCalibration
from qoe_lab.models.fitted_task import FittedTask
from qoe_lab.models.forbidden_features import check_features
from qoe_lab.models.lab_model import LabModel, names_for
from qoe_lab.models.plain_models import KINDS, kind_of
from qoe_lab.models.tasks import HEIGHT, TASKS, ModelTask
from serving.regular_files import read_regular, read_regular_text

CARD, ARRAYS = "model.json", "model.npz"
FORMAT, VERSION = "swarmscope lab model", 1
_MOST_CARD_BYTES = 16 * 2**20
_MOST_ARRAY_BYTES = 512 * 2**20
_MOST_FEATURES = 100_000
_UNREADABLE = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, TokenError, EOFError, OSError, MemoryError, KeyError, RuntimeError)
"""What `zipfile` and NumPy raise, besides ValueError, for arrays that are damaged or made by an attacker."""


class ModelFileError(ValueError):
    """A stored model cannot be used. The message says why, and what to do."""


def store(folder: Path, model: LabModel, card: Mapping[str, Any]) -> LabModel:
    """Write the model and its card into `folder`. `card` is what the card says besides what is needed to load it."""
    folder.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, NDArray[Any]] = {}
    for name, fitted in model.tasks.items():
        arrays |= {f"{name}.model.{part}": array for part, array in fitted.model.arrays().items()}
        if fitted.calibration is not None:
            arrays |= {f"{name}.calibration.{part}": array for part, array in fitted.calibration.arrays().items()}
    packed = io.BytesIO()
    np.savez_compressed(packed, allow_pickle=False, **arrays)
    content = packed.getvalue()
    sha256 = hashlib.sha256(content).hexdigest()
    about = dict(card)
    of_tasks = about.pop("tasks", {})
    text = {
        "format": FORMAT,
        "version": VERSION,
        "name": model.name,
        "arrays": {"file": ARRAYS, "bytes": len(content), "sha256": sha256},
        "slot_features": list(model.slot_features),
        "tasks": {name: {**_task_card(fitted), **of_tasks.get(name, {})} for name, fitted in model.tasks.items()},
        **about,
    }
    # The card is last: without it, the folder holds no model, and a crash in between leaves none that is mixed.
    (folder / CARD).unlink(missing_ok=True)
    _write(folder / ARRAYS, content)
    _write(folder / CARD, (json.dumps(text, indent=1, allow_nan=False) + "\n").encode())
    return LabModel(name=model.name, slot_features=model.slot_features, tasks=model.tasks, sha256=sha256)


def _task_card(fitted: FittedTask) -> dict[str, Any]:
    return {
        "code": fitted.task.code,
        "title": fitted.task.title,
        "family": fitted.family,
        "kind": kind_of(fitted.model),
        "features": list(fitted.names),
        "classes": list(fitted.classes),
        "calibrated": fitted.calibration is not None,
        "usual": None if fitted.usual is None else fitted.usual.tolist(),
        "half_width": fitted.half_width,
    }


def _write(path: Path, content: bytes) -> None:
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def load(folder: Path) -> LabModel:
    """The model in `folder`. ModelFileError for files that are no model, or damaged ones."""
    card = read_card(folder)
    try:
        content = _array_bytes(folder, card)
        arrays = _arrays(content)
        slot_features = _texts(card, "slot_features")
        check_features(slot_features)
        tasks = {name: _task(name, part, arrays, slot_features) for name, part in _mapping(card, "tasks").items()}
    except ModelFileError:
        raise
    except ValueError as error:
        raise ModelFileError(f"{folder} holds no model that can be used: {error}; fit it again") from error
    return LabModel(
        name=str(card.get("name", folder.name)),
        slot_features=slot_features,
        tasks=tasks,
        sha256=hashlib.sha256(content).hexdigest(),
    )


def read_card(folder: Path) -> dict[str, Any]:
    """The card of the model in `folder`."""
    path = folder / CARD
    try:
        if path.stat().st_size > _MOST_CARD_BYTES:
            raise ModelFileError(f"{path} has more than {_MOST_CARD_BYTES} bytes, and is no card of a model")
        card = json.loads(read_regular_text(path), parse_constant=_refuse_constant)
    except FileNotFoundError as error:
        raise ModelFileError(f"{folder} holds no model; swarmscope lab fit makes one") from error
    except (ValueError, RecursionError) as error:
        if isinstance(error, ModelFileError):
            raise
        raise ModelFileError(f"{path} is no card of a model: {error}") from error
    if not isinstance(card, dict) or card.get("format") != FORMAT:
        raise ModelFileError(f"{path} is no card of a model")
    if card.get("version") != VERSION:
        raise ModelFileError(
            f"{path} has version {card.get('version')!r}; this version of swarmscope reads {VERSION}: fit it again"
        )
    return card


def _refuse_constant(text: str) -> float:
    raise ValueError(f"{text} is no number of JSON")


def _array_bytes(folder: Path, card: Mapping[str, Any]) -> bytes:
    about = _mapping(card, "arrays")
    path = folder / ARRAYS
    try:
        if path.stat().st_size > _MOST_ARRAY_BYTES:
            raise ModelFileError(f"{path} has more than {_MOST_ARRAY_BYTES} bytes, and is not read")
        content = read_regular(path)
    except FileNotFoundError as error:
        raise ModelFileError(f"{path} is missing; fit the model again") from error
    found = hashlib.sha256(content).hexdigest()
    if found != about.get("sha256"):
        raise ModelFileError(
            f"{path} is not what its card describes: its SHA-256 is {found}, not {about.get('sha256')}; fit it again"
        )
    return content


def _arrays(content: bytes) -> dict[str, NDArray[Any]]:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if sum(each.file_size for each in archive.infolist()) > _MOST_ARRAY_BYTES:
                raise ValueError("the arrays are too large")
        with np.load(io.BytesIO(content), allow_pickle=False) as packed:
            return {name: packed[name] for name in packed.files}
    except _UNREADABLE as error:
        raise ValueError(f"the arrays cannot be read: {error}") from error


def _task(name: str, part: object, arrays: Mapping[str, NDArray[Any]], slot_features: tuple[str, ...]) -> FittedTask:
    task = next((each for each in TASKS if each.name == name), None)
    if task is None or not isinstance(part, dict):
        raise ValueError(f"{name!r} is no task")
    names, classes = _texts(part, "features"), _texts(part, "classes")
    if names != names_for(task, slot_features):
        raise ValueError(f"{name}: its features are not those that this version computes from the features of slots")
    if (len(classes) < 2) != (task.kind == "number"):
        raise ValueError(f"{name}: {len(classes)} classes do not fit the task")
    if task == HEIGHT and not all(each.isascii() and each.isdecimal() and len(each) <= 5 for each in classes):
        raise ValueError(f"{name}: its classes must be heights in pixels")
    kind = KINDS.get(str(part.get("kind")))
    if kind is None:
        raise ValueError(f"{name}: {part.get('kind')!r} is no kind of model; known are {', '.join(KINDS)}")
    try:
        model = kind.from_arrays(_of(arrays, f"{name}.model."), len(names), max(1, len(classes)))
        calibration = (
            ProbabilityCalibration.from_arrays(_of(arrays, f"{name}.calibration."), len(classes))
            if part.get("calibrated")
            else None
        )
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error
    return FittedTask(
        task=task,
        family=str(part.get("family", "")),
        names=names,
        classes=classes,
        model=model,
        calibration=calibration,
        usual=_usual(name, part, len(classes)),
        half_width=_half_width(name, task, part),
    )


def _of(arrays: Mapping[str, NDArray[Any]], prefix: str) -> dict[str, NDArray[Any]]:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def _usual(name: str, part: Mapping[str, Any], classes: int) -> NDArray[np.float64] | None:
    given = part.get("usual")
    if given is None:
        return None
    if not isinstance(given, list) or len(given) != classes or not all(isinstance(each, float) and 0 < each < 1 for each in given):
        raise ValueError(f"{name}: usual must be a probability for each class")
    return np.array(given)


def _half_width(name: str, task: ModelTask, part: Mapping[str, Any]) -> float | None:
    given = part.get("half_width")
    if given is None:
        return None
    if task.kind != "number" or not isinstance(given, float) or not 0 <= given < 1e9:
        raise ValueError(f"{name}: half_width must be a number from 0 on")
    return given


def _mapping(card: Mapping[str, Any], name: str) -> dict[str, Any]:
    found = card.get(name)
    if not isinstance(found, dict):
        raise ValueError(f"the card has no {name}")  # noqa: TRY004 - the file is wrong, not the code
    return found


def _texts(card: Mapping[str, Any], name: str) -> tuple[str, ...]:
    found = card.get(name)
    if not isinstance(found, list) or len(found) > _MOST_FEATURES or not all(isinstance(each, str) for each in found):
        raise ValueError(f"the card has no list {name}")
    return tuple(found)
