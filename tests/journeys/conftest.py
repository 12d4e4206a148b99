"""Journeys run the whole pipeline."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.journeys.pipeline import Pipeline


@pytest.fixture
def pipeline(serve: Callable[..., Any], tmp_path: Path) -> Callable[..., Pipeline]:
    return lambda form="jsonl": Pipeline(serve=serve, root=tmp_path, form=form)
