"""The content that the tests of the lab play is encoded once for each process of the tests."""

from pathlib import Path

import pytest

from qoe_lab.sources.video_encoding import make_content
from tests.qoe_lab.played_sessions import RECIPE, SECONDS


@pytest.fixture(scope="session")
def contents(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("contents")
    make_content(folder, RECIPE, SECONDS)
    return folder
