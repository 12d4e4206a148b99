"""Numbers in texts that other programs wrote."""

import pytest

from feedback_wire.numbers import parsed_float


@pytest.mark.parametrize("text", ["1_000", "1_0e3", "0x10", "", "1,5"])
def test_a_text_that_other_programs_do_not_read_as_a_number_is_none(text):
    with pytest.raises(ValueError, match=r"number|convert"):
        parsed_float(text)


def test_signs_exponents_and_spaces_are_read():
    assert [parsed_float(text) for text in (" 1 ", "-1.5e3", "+.5", "1e400")] == [1.0, -1500.0, 0.5, float("inf")]
