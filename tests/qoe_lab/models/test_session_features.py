"""The beginning of a session is described by its first slots."""

import numpy as np

from qoe_lab.models.session_features import HEAD_SLOTS, SessionHead, head_names

NAMES = ("down_kbps", "total_requests", "elapsed_s")


def test_the_head_of_a_session_knows_nothing_of_slots_that_have_not_ended():
    slots, head = np.random.default_rng(1).standard_normal((30, len(NAMES))), SessionHead(len(NAMES))
    for count, slot in enumerate(slots, start=1):
        head.add(slot)
        values = dict(zip(head_names(NAMES), head.values(), strict=True))
        assert head.slots == count
        for at in HEAD_SLOTS:
            expected = slots[at - 1, 2] if at <= count else np.nan
            np.testing.assert_equal(values[f"elapsed_s_at_{at}"], expected)
