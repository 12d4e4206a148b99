"""The diagnoses of alerts: which alert started one, and what it found. They are in a file, so a restart repeats none."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from monitor_platform.alerts.detector import Alert
from monitor_platform.note_file import NoteFile

MOST_DIAGNOSES = 200
"""Beyond this number, the oldest ones are forgotten."""

DiagnosisState = Literal["running", "done", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertDiagnosis:
    """The diagnosis that the alert of `rule` in `slice` started at `at_ms` (Unix ms)."""

    rule: str
    slice: Mapping[str, str]
    began_ms: int
    """The start of the alert."""
    at_ms: int
    state: DiagnosisState = "running"
    requests: tuple[str, ...] = ()
    """The ids of its requests at the measurement master."""
    text: str = ""
    """One line: the verdicts, what is missing, or why it failed."""
    facts: Mapping[str, Any] | None = None
    """The verdicts with their evidence, as `diagnosis_facts.as_json`."""

    def is_of(self, alert: Alert) -> bool:
        return (self.rule, self.slice, self.began_ms) == (alert.rule.name, alert.slice, alert.began_ms)

    def to_json(self) -> dict[str, Any]:
        """As alerts and webhooks have it."""
        found = {"at": self.at_ms, "state": self.state, "requests": list(self.requests), "text": self.text}
        return found | {"verdicts": [], "not_enough_evidence": []} | dict(self.facts or {})


class AlertDiagnoses:
    """The diagnoses in `folder`. ValueError if the file in it cannot be read."""

    def __init__(self, folder: Path) -> None:
        self._file = NoteFile(folder / "diagnoses.json", _parse)

    @property
    def all(self) -> tuple[AlertDiagnosis, ...]:
        return self._file.notes

    @property
    def changes(self) -> int:
        return self._file.changes

    def of(self, alert: Alert) -> AlertDiagnosis | None:
        """The last diagnosis of an alert; None without one."""
        return next((each for each in reversed(self._file.notes) if each.is_of(alert)), None)

    async def put(self, diagnosis: AlertDiagnosis) -> None:
        """Add a diagnosis, or replace the one with the same begin. Problem (503) if the file cannot be written."""

        def change(notes: tuple[AlertDiagnosis, ...]) -> tuple[AlertDiagnosis, ...]:
            kept = tuple(each for each in notes if _key(each) != _key(diagnosis))
            return (*kept, diagnosis)[-MOST_DIAGNOSES:]

        await self._file.change(change)


def _key(diagnosis: AlertDiagnosis) -> tuple[str, dict[str, str], int, int]:
    return diagnosis.rule, dict(diagnosis.slice), diagnosis.began_ms, diagnosis.at_ms


def _parse(note: Mapping[str, Any]) -> AlertDiagnosis:
    """A diagnosis that was running when the platform ended has failed."""
    found = AlertDiagnosis(**{**note, "requests": tuple(note["requests"])})
    return replace(found, state="failed", text="the platform ended before the verdict") if found.state == "running" else found
