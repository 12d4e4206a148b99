"""A stored model gives the same outputs as before, and files that are no model, or a damaged one, get a clear error."""

import hashlib
import io
import json
import random
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from qoe_lab.models.cross_fitting import fitted
from qoe_lab.models.families import BY_NAME, Effort
from qoe_lab.models.lab_model import LabModel
from qoe_lab.models.storage import ARRAYS, CARD, ModelFileError, load, store
from qoe_lab.models.tasks import HEIGHT, MOS, SESSION_STALLED, SLOT_STALLED, STARTUP
from qoe_lab.models.training_examples import examples_of, session_slots
from tests.qoe_lab.models.synthetic_sessions import SLOT_FEATURES, training

EFFORT = Effort(trees=5, rounds=5, folds=3, resamples=10)
FAMILY_OF = {SESSION_STALLED: "boosting", SLOT_STALLED: "forest", HEIGHT: "boosting", STARTUP: "linear", MOS: "forest"}


@pytest.fixture(scope="module")
def sessions():
    return session_slots(*training(sessions=24, seconds=12), SLOT_FEATURES)


@pytest.fixture(scope="module")
def model(sessions) -> LabModel:
    tasks = {
        task.name: fitted(BY_NAME[family], task, examples_of(task, sessions, SLOT_FEATURES), EFFORT, 1, calibrate=True)
        for task, family in FAMILY_OF.items()
    }
    return LabModel(name="first", slot_features=SLOT_FEATURES, tasks=tasks)


@pytest.fixture
def folder(model: LabModel, tmp_path: Path) -> Path:
    store(tmp_path / "model", model, {"note": "a test"})
    return tmp_path / "model"


def test_a_stored_model_gives_the_same_outputs_as_before(model: LabModel, folder: Path, sessions):
    read = load(folder)
    assert read.slot_features == SLOT_FEATURES
    assert read.tasks.keys() == model.tasks.keys()
    for task in FAMILY_OF:
        before, after = model.tasks[task.name], read.tasks[task.name]
        outputs = before.outputs(examples_of(task, sessions, SLOT_FEATURES).x)
        np.testing.assert_array_equal(after.outputs(examples_of(task, sessions, SLOT_FEATURES).x), outputs)
        np.testing.assert_array_equal(after.calibrated(outputs), before.calibrated(outputs))
        np.testing.assert_array_equal(after.levelled(outputs), before.levelled(outputs))
        np.testing.assert_array_equal(after.bounds(outputs[:, 0]), before.bounds(outputs[:, 0]))
        assert (after.family, after.classes, after.names) == (before.family, before.classes, before.names)


def test_the_card_has_the_hash_of_the_arrays_and_what_it_was_given(folder: Path):
    card = json.loads((folder / CARD).read_text())
    content = (folder / ARRAYS).read_bytes()
    assert card["arrays"] == {"file": ARRAYS, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    assert card["note"] == "a test"
    assert load(folder).sha256 == card["arrays"]["sha256"]


def test_the_same_model_is_stored_as_the_same_bytes(model: LabModel, folder: Path, tmp_path: Path):
    store(tmp_path / "again", model, {"note": "a test"})
    assert (tmp_path / "again" / ARRAYS).read_bytes() == (folder / ARRAYS).read_bytes()
    assert (tmp_path / "again" / CARD).read_bytes() == (folder / CARD).read_bytes()


def test_a_flipped_bit_in_the_arrays_is_found(folder: Path):
    content = bytearray((folder / ARRAYS).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / ARRAYS).write_bytes(content)
    with pytest.raises(ModelFileError, match=r"its SHA-256 is .*fit it again"):
        load(folder)


def rewrite(folder: Path, change) -> None:
    """Change the arrays and give the card the right hash, as an attacker would."""
    with np.load(folder / ARRAYS, allow_pickle=False) as packed:
        arrays = {name: packed[name].copy() for name in packed.files}
    change(arrays)
    packed = io.BytesIO()
    np.savez_compressed(packed, **arrays)
    replace_arrays(folder, packed.getvalue())


def replace_arrays(folder: Path, content: bytes) -> None:
    (folder / ARRAYS).write_bytes(content)
    card = json.loads((folder / CARD).read_text())
    card["arrays"]["sha256"] = hashlib.sha256(content).hexdigest()
    (folder / CARD).write_text(json.dumps(card))


def setting(name: str, value, place=0):
    def change(arrays) -> None:
        arrays[name][place] = value

    return change


def cycle(arrays) -> None:
    inner = int(np.flatnonzero(arrays["height.model.feature"] >= 0)[0])
    arrays["height.model.left"][inner] = inner


def into_another_tree(arrays) -> None:
    inner = int(np.flatnonzero(arrays["height.model.feature"] >= 0)[0])
    arrays["height.model.right"][inner] = arrays["height.model.roots"][1]


HOSTILE = {
    "a cycle": (cycle, "a child comes before its parent, which would be a cycle"),
    "a child in another tree": (into_another_tree, "a child belongs to another tree"),
    "a child that does not exist": (
        lambda arrays: arrays["height.model.left"].__setitem__(arrays["height.model.feature"] >= 0, 10**6),
        "belongs to another tree, or does not exist",
    ),
    "a feature that does not exist": (setting("height.model.feature", 10**6), "compares a feature that does not exist"),
    "a threshold that is not a number": (
        lambda arrays: arrays["height.model.threshold"].__setitem__(slice(None), np.nan),
        "threshold is not a number",
    ),
    "a value that is not a number": (lambda arrays: arrays["height.model.value"].fill(np.nan), "a value is not finite"),
    "a value that is infinite": (lambda arrays: arrays["height.model.base"].fill(np.inf), "a value is not finite"),
    "roots that descend": (lambda arrays: arrays["height.model.roots"].__setitem__(slice(None), 0), "roots must ascend"),
    "a root that does not exist": (setting("height.model.roots", 10**6, -1), "roots must ascend from 0 and be nodes"),
    "too few nodes in one array": (
        lambda arrays: arrays.update({"height.model.left": arrays["height.model.left"][:-1]}),
        "left has .* entries and feature has",
    ),
    "too few outputs": (
        lambda arrays: arrays.update({"height.model.value": arrays["height.model.value"][:, :1]}),
        "value has the shape",
    ),
    "another type": (
        lambda arrays: arrays.update({"height.model.left": arrays["height.model.left"].astype(np.float64)}),
        "left is float64",
    ),
    "a missing array": (lambda arrays: arrays.pop("height.model.feature"), "feature is missing"),
    "a link that does not exist": (lambda arrays: arrays.update({"height.model.link": np.asarray(9)}), "link is 9"),
    "weights that are not numbers": (lambda arrays: arrays["startup.model.weights"].fill(np.nan), "weights: a value is not finite"),
    "a scale of 0": (lambda arrays: arrays["startup.model.scale"].fill(0), "a value is not above 0"),
    "weights of another shape": (
        lambda arrays: arrays.update({"startup.model.weights": arrays["startup.model.weights"].T.copy()}),
        "weights has the shape",
    ),
    "a probability above 1": (lambda arrays: arrays["height.calibration.seen_0"].fill(2), "must be a list of probabilities"),
    "a probability that is not a number": (
        lambda arrays: arrays["height.calibration.stated_0"].fill(np.nan),
        "must be a list of probabilities",
    ),
    "a curve that descends": (
        lambda arrays: arrays.update({"height.calibration.seen_0": arrays["height.calibration.seen_0"][::-1].copy()}),
        "curve 0 does not ascend",
    ),
}


@pytest.mark.parametrize(("change", "message"), HOSTILE.values(), ids=HOSTILE)
def test_arrays_that_are_no_model_get_a_clear_error(folder: Path, change, message: str):
    rewrite(folder, change)
    with pytest.raises(ModelFileError, match=message):
        load(folder)


def test_an_array_with_objects_is_not_unpickled(folder: Path, tmp_path: Path):
    canary = tmp_path / "canary"

    class Payload:
        def __reduce__(self):
            return Path.touch, (canary,)

    rewrite(folder, lambda arrays: arrays.update({"height.model.left": np.array([Payload()], dtype=object)}))
    with pytest.raises(ModelFileError, match="allow_pickle"):
        load(folder)
    assert not canary.exists()


def archive(content: bytes, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """An archive with one array."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", method) as file:
        file.writestr("height.model.left.npy", content)
    return packed.getvalue()


HOSTILE_ARCHIVES = {
    "a damaged member": archive(random.Random(1).randbytes(500)).replace(b"npy", b"npy\xff", 1),
    "a damaged member of another method": archive(bytes(500), zipfile.ZIP_LZMA).replace(b"npy\x09", b"npy\xff", 1),
    "an encrypted member": archive(bytes(500)).replace(b"PK\x01\x02\x14\x03\x14\x00\x00", b"PK\x01\x02\x14\x03\x14\x00\x01"),
    "a header that nests too deep": archive(b"\x93NUMPY\x01\x00" + struct.pack("<H", 9000) + b"(" * 8999 + b"\n"),
    "a header of another member": archive(b"\x93NUMPY\x09\x00"),
    "a shape beyond all memory": archive(
        b"\x93NUMPY\x01\x00\x80\x00" + repr({"descr": "<f8", "fortran_order": False, "shape": (2**50,)}).encode().ljust(127) + b"\n"
    ),
}


@pytest.mark.parametrize("content", HOSTILE_ARCHIVES.values(), ids=HOSTILE_ARCHIVES)
def test_hostile_archives_get_a_clear_error(folder: Path, content: bytes):
    replace_arrays(folder, content)
    with pytest.raises(ModelFileError, match="fit it again"):
        load(folder)


def test_any_damage_that_the_hash_hides_gets_a_clear_error_or_is_harmless(folder: Path):
    good, chance = (folder / ARRAYS).read_bytes(), random.Random(3)
    refused = 0
    for _ in range(100):
        damaged = bytearray(good)
        damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        replace_arrays(folder, bytes(damaged))
        try:
            load(folder)
        except ModelFileError:
            refused += 1
    assert refused > 30


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"no archive", b"\x93NUMPY\x01\x00"], ids=["empty", "cut", "text", "npy"])
def test_arrays_that_are_no_archive_get_a_clear_error(folder: Path, content: bytes):
    replace_arrays(folder, content)
    with pytest.raises(ModelFileError, match="fit it again"):
        load(folder)


CARDS = {
    "no JSON": ("{", "is no card of a model"),
    "another JSON": ("[1]", "is no card of a model"),
    "another format": ('{"format": "x"}', "is no card of a model"),
    "NaN": ('{"format": NaN}', "NaN is no number of JSON"),
    "deep JSON": ("[" * 100_000, "is no card of a model"),
    "another version": ('{"format": "swarmscope lab model", "version": 2}', "has version 2; .*fit it again"),
    "no arrays": ('{"format": "swarmscope lab model", "version": 1}', "the card has no arrays"),
}


@pytest.mark.parametrize(("text", "message"), CARDS.values(), ids=CARDS)
def test_a_card_that_is_none_gets_a_clear_error(folder: Path, text: str, message: str):
    (folder / CARD).write_text(text)
    with pytest.raises(ModelFileError, match=message):
        load(folder)


CHANGES = {
    "an unknown task": (lambda card: card["tasks"].update(t9={}), "'t9' is no task"),
    "an unknown kind": (lambda card: card["tasks"]["height"].update(kind="pickle"), "'pickle' is no kind of model"),
    "a kind that is no text": (lambda card: card["tasks"]["height"].update(kind=["forest"]), "is no kind of model"),
    "classes that are no heights": (
        lambda card: card["tasks"]["height"].update(classes=["x\x1b[2J"] * len(card["tasks"]["height"]["classes"])),
        "must be heights in pixels",
    ),
    "features in another order": (lambda card: card["tasks"]["height"]["features"].reverse(), "its features are not those"),
    "a feature that is the answer": (lambda card: card["slot_features"].append("stalled_ms"), "stalled_ms must not be features"),
    "no classes": (lambda card: card["tasks"]["height"].update(classes=[]), "0 classes do not fit the task"),
    "classes of a number": (lambda card: card["tasks"]["mos"].update(classes=["a", "b"]), "2 classes do not fit the task"),
    "a half width below 0": (lambda card: card["tasks"]["mos"].update(half_width=-1.0), "half_width must be a number"),
    "a usual probability of 0": (lambda card: card["tasks"]["session_stalled"].update(usual=[0.0, 1.0]), "usual must be"),
    "no features": (lambda card: card.pop("slot_features"), "the card has no list slot_features"),
}


@pytest.mark.parametrize(("change", "message"), CHANGES.values(), ids=CHANGES)
def test_a_card_that_does_not_fit_its_arrays_gets_a_clear_error(folder: Path, change, message: str):
    card = json.loads((folder / CARD).read_text())
    change(card)
    (folder / CARD).write_text(json.dumps(card))
    with pytest.raises(ModelFileError, match=message):
        load(folder)


def test_the_error_of_a_folder_without_a_model_names_what_makes_one(tmp_path: Path):
    with pytest.raises(ModelFileError, match="holds no model; swarmscope lab fit makes one"):
        load(tmp_path)


def test_a_card_without_its_arrays_gets_a_clear_error(folder: Path):
    (folder / ARRAYS).unlink()
    with pytest.raises(ModelFileError, match="is missing; fit the model again"):
        load(folder)
