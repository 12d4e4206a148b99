"""CMCD as players write it is read, and what we write is read back unchanged."""

from hypothesis import given
from hypothesis import strategies as st

from qoe_lab.cmcd import LONGEST, cmcd_text, read_cmcd


def test_the_text_of_a_player_is_read():
    text = 'bl=2000,br=560,bs,cid="a, \\"b\\"",d=2004.5,nor="..%2Fseg.m4v",ot=v,su=false,v=1'
    assert read_cmcd(text) == {
        "bl": 2000,
        "br": 560,
        "bs": True,
        "cid": 'a, "b"',
        "d": 2004.5,
        "nor": "..%2Fseg.m4v",
        "ot": "v",
        "su": False,
        "v": 1,
    }


def test_values_that_are_false_or_unknown_are_not_written():
    assert cmcd_text({"su": False, "mtp": None, "bs": True, "bl": 1200.4, "ot": "v", "sid": "x"}) == 'bl=1200,bs,ot=v,sid="x"'


@given(st.dictionaries(st.sampled_from(["bl", "br", "d"]), st.integers(0, 10**9)), st.text(min_size=1, max_size=50))
def test_what_is_written_is_read_back(numbers: dict[str, int], sid: str):
    assert read_cmcd(cmcd_text({**numbers, "sid": sid})) == {**numbers, "sid": sid}


@given(st.text(max_size=3 * LONGEST))
def test_any_text_from_the_network_is_read_without_an_error(text: str):
    read = read_cmcd(text)
    assert all(isinstance(value, (str, float, bool)) for value in read.values())
