"""The folder of a training as the export finds it: its settings, and each session that was begun, with the files that it has."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from qoe_lab.dataset.invalid_session import SESSION_FILES
from qoe_lab.dataset.json_values import DamagedFileError, JsonValues, read_object, read_objects


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedSession:
    """A session of the journal or with a folder. A file that is absent is None, one that is damaged is the `damage`."""

    session_id: str
    folder: Path
    journal: JsonValues | None
    """The last line of the journal about this session."""
    cell: JsonValues | None
    result: JsonValues | None
    shaping: JsonValues | None
    damage: DamagedFileError | None

    @property
    def capture(self) -> Path:
        return self.folder / "capture.pcap"

    @property
    def events(self) -> Path:
        return self.folder / "player.jsonl"

    @property
    def requests(self) -> Path:
        return self.folder / "server.jsonl"

    @property
    def tcp_info(self) -> Path:
        return self.folder / "tcp_info.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedTraining:
    """The folder of a training, with its settings and its journal as they were read from JSON."""

    path: Path
    described: JsonValues
    journal: tuple[JsonValues, ...]

    @property
    def settings(self) -> JsonValues:
        return self.described.object("settings")

    @property
    def environment(self) -> JsonValues:
        return self.described.object("environment")

    @property
    def training_id(self) -> str:
        return self.described.text("training_id") or self.settings.text("name") or self.path.resolve().name

    def sessions(self) -> Iterator[RecordedSession]:
        """In the order of their ids. Sessions that are only planned are not among them."""
        changes = {_session_id(change): change for change in self.journal}
        folders = {each.name for each in (self.path / "sessions").glob("*") if each.is_dir()}
        for session_id in sorted(changes.keys() | folders):
            yield _recorded(self.path / "sessions" / session_id, session_id, changes.get(session_id))


def recorded_training(path: Path) -> RecordedTraining:
    """The training in a folder. ValueError if there is none, or if its description or journal is damaged."""
    described = read_object(path / "training.json")
    if described is None:
        raise ValueError(f"{path} holds no training: it has no training.json; give the folder of a training")
    return RecordedTraining(path=path, described=described, journal=tuple(read_objects(path / "sessions.jsonl")))


def _session_id(change: JsonValues) -> str:
    """The session of a line of the journal, which is also the name of a folder."""
    session_id = change.text("session_id")
    if not session_id or session_id != Path(session_id).name or session_id == "..":
        raise DamagedFileError(change.path, f"session_id is {session_id!r}, which is no name of a folder")
    return session_id


def _recorded(folder: Path, session_id: str, journal: JsonValues | None) -> RecordedSession:
    found: dict[str, JsonValues | None] = {}
    damage = None
    for name in SESSION_FILES:
        try:
            _check_file(folder / name)
            if name.endswith(".json"):
                found[name] = read_object(folder / name)
        except DamagedFileError as error:
            damage = damage or error
    return RecordedSession(
        session_id=session_id,
        folder=folder,
        journal=journal,
        cell=found.get("session.json"),
        result=found.get("result.json"),
        shaping=found.get("shaping.json"),
        damage=damage,
    )


def _check_file(path: Path) -> None:
    """DamagedFileError for a folder, a link that leads nowhere, or a pipe, whose reader would wait without end."""
    if os.path.lexists(path) and not path.is_file():
        raise DamagedFileError(path, "it is no file")
