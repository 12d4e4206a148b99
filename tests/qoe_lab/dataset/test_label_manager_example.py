"""The example shows the leak that it warns of: the leaky protocol scores higher than an honest one on the same sessions."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from qoe_lab.dataset.label_manager_csv import read_label_manager

EXAMPLE = Path(__file__).parents[3] / "examples" / "label_manager"
MODULES = ("generate", "protocols")
SESSIONS = 800


@dataclass(frozen=True)
class Example:
    """The protocols of the example, the sessions that it generates, and an honest score that several tests need."""

    protocols: ModuleType
    sessions: Any
    honest: Any


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Example]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(EXAMPLE)
        generate, protocols = (__import__(name) for name in MODULES)
        path, _ = generate.write_files(tmp_path_factory.mktemp("generated"), SESSIONS)
        sessions = protocols.sessions_of(read_label_manager(path))
        yield Example(protocols, sessions, protocols.stratified(sessions, sessions.stalled))
    for name in MODULES:
        sys.modules.pop(name, None)


def test_the_leaky_protocol_scores_higher_than_an_honest_one_on_the_same_sessions(example: Example) -> None:
    protocols, sessions = example.protocols, example.sessions
    quality = protocols.stratified(sessions, sessions.quality)
    for label, honest, inflation in ((sessions.stalled, example.honest, 0.02), (sessions.quality, quality, 0.10)):
        leaky = protocols.leaky(sessions, label)
        print(f"leaky {leaky.accuracy:.3f}, honest {honest.accuracy:.3f}")
        assert leaky.accuracy > honest.accuracy + inflation
        assert protocols.copies_in_test(label) > 0.4
    assert leaky.rarest_recall > 0.95
    assert honest.rarest_recall < 0.3


def test_the_two_campaigns_are_confounded_with_the_label(example: Example) -> None:
    protocols, sessions = example.protocols, example.sessions
    assert ((sessions.campaigns == 0) == sessions.stalled).mean() > 0.8
    assert protocols.campaign_probe(sessions, sessions.stalled).balanced > 0.8
    left_out = protocols.leave_one_campaign_out(sessions, sessions.stalled)
    assert left_out.accuracy < example.honest.accuracy - 0.1


@pytest.mark.soak
def test_the_example_runs_and_writes_its_page(tmp_path: Path) -> None:
    command = [sys.executable, str(EXAMPLE / "reproduce.py"), str(tmp_path), "--sessions", "1000"]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert printed.count("leaky: resample, then split") == 2
    page = (tmp_path / "figures.html").read_text()
    assert "Has the session stalled?" in page
    assert "https://" not in page.split("<h1>")[1].split("<script")[0]
    assert (tmp_path / "sessions-right-names.csv").exists()
