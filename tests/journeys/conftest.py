"""Journeys run the whole pipeline."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.asked import ACKNOWLEDGED, Record
from tests.journeys.pipeline import Pipeline


@pytest.fixture
def pipeline(serve: Callable[..., Any], tmp_path: Path, record_property: Record) -> Iterator[Callable[..., Pipeline]]:
    made: list[Pipeline] = []

    def pipeline(form: str = "jsonl") -> Pipeline:
        made.append(Pipeline(serve=serve, root=tmp_path, form=form))
        return made[-1]

    yield pipeline
    record_property(ACKNOWLEDGED, sum(pipe.truth()["messages"] for pipe in made if pipe.has_truth()))
