"""Players that come and go: those that remain lose almost nothing."""

from pathlib import Path

import pytest

from tests.overlay.churn import lives

MOST_LOST = 0.01


@pytest.mark.soak
def test_players_lose_less_than_one_percent_while_others_leave_and_are_killed(tmp_path: Path):
    found = lives(tmp_path, players=20, seconds=300)
    print(f"{found}; lost {found.loss:.3%}")
    assert found.killed > 50
    assert found.left > 50
    assert found.received > 100_000
    assert found.loss < MOST_LOST
