import ipaddress
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.forwarded import HEADER_CHARS, HOPS, ProxyHeader, SenderAddress, parse_networks, sender

TRUSTED = (ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("fd00::/8"))
PROXY = "10.0.0.1"
PROXY_HEADERS = get_args(ProxyHeader)

FORMS = {
    "203.0.113.7": "203.0.113.7",
    " 203.0.113.7 ": "203.0.113.7",
    "203.0.113.7:50123": "203.0.113.7",
    '"203.0.113.7"': "203.0.113.7",
    '"203.0.113.7:50123"': "203.0.113.7",
    "2001:db8::7": "2001:db8::7",
    "2001:DB8:0:0:0:0:0:7": "2001:db8::7",
    "[2001:db8::7]": "2001:db8::7",
    "[2001:db8::7]:50123": "2001:db8::7",
    '"[2001:db8::7]:50123"': "2001:db8::7",
    r'"\[2001:db8::7\]"': "2001:db8::7",
    "[2001:db8::7]:_edge": "2001:db8::7",
    "::ffff:203.0.113.7": "203.0.113.7",
    "[::ffff:203.0.113.7]:80": "203.0.113.7",
    "fe80::7%eth0": "fe80::7",
    "[fe80::7%25eth0]:80": "fe80::7",
}
UNREADABLE = [
    *("rubbish", "203.0.113", "203.0.113.7:", "203.0.113.7:port", "203.0.113.7:123456", "203.0.113.7 50123", "203.0.113.007"),
    *(
        "[2001:db8::7",
        "[203.0.113.7]",
        "[2001:db8::7]50123",
        "[]",
        '"203.0.113.7',
        "'203.0.113.7'",
        "-",
        "null",
        "fe80::7%" + "z" * 200,
    ),
]


@pytest.mark.parametrize("header", PROXY_HEADERS)
@pytest.mark.parametrize("form", FORMS)
def test_every_form_in_which_a_proxy_writes_an_address_is_read(header, form: str):
    value = f"for={form};proto=https" if header == "forwarded" else form
    assert sender(PROXY, header, value, TRUSTED) == SenderAddress(FORMS[form])


@pytest.mark.parametrize("header", PROXY_HEADERS)
@pytest.mark.parametrize("form", UNREADABLE)
def test_an_unreadable_header_gives_no_address_and_never_the_proxys(header, form: str):
    value = f"for={form}" if header == "forwarded" else form
    assert sender(PROXY, header, value, TRUSTED) == SenderAddress("", "unreadable")


@pytest.mark.parametrize("header", PROXY_HEADERS)
@pytest.mark.parametrize("form", ["unknown", "Unknown", '"unknown:80"', "_hidden", '"_SEVKISEK"', '"_a.b-c:_d"'])
def test_a_sender_that_the_proxy_hides_is_hidden(header, form: str):
    value = f"for={form}" if header == "forwarded" else form
    assert sender(PROXY, header, value, TRUSTED) == SenderAddress("", "hidden")


@pytest.mark.parametrize(
    ("peer", "value", "address"),
    [
        ("203.0.113.7", "198.51.100.1", "203.0.113.7"),  # not one of our proxies: the header may be forged
        (PROXY, "1.2.3.4, 198.51.100.1", "198.51.100.1"),
        (PROXY, "1.2.3.4, 198.51.100.1:80,10.9.9.9:80", "198.51.100.1"),
        (PROXY, "1.2.3.4,198.51.100.1,", "198.51.100.1"),
        (PROXY, " , 198.51.100.1 ,, ", "198.51.100.1"),
        (PROXY, "10.1.1.1, 10.2.2.2", "10.1.1.1"),
        (PROXY, "rubbish, 198.51.100.1", "198.51.100.1"),
        ("::ffff:10.0.0.1", "2001:db8::1", "2001:db8::1"),
        ("fd00::1%eth0", "2001:db8::1", "2001:db8::1"),
    ],
)
def test_the_sender_is_the_rightmost_address_that_is_not_a_trusted_proxy(peer: str, value: str, address: str):
    assert sender(peer, "x-forwarded-for", value, TRUSTED) == SenderAddress(address)
    elements = ",".join(f"for={hop.strip()}" if hop.strip() else hop for hop in value.split(","))
    assert sender(peer, "forwarded", elements, TRUSTED) == SenderAddress(address)


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ('for=192.0.2.43, FOR="[2001:db8:cafe::17]:4711"', SenderAddress("2001:db8:cafe::17")),  # RFC 7239, section 4
        ("for=192.0.2.60;proto=http;by=203.0.113.43", SenderAddress("192.0.2.60")),
        ('by="a,b;for=1.1.1.1";for=192.0.2.60 ; host=x', SenderAddress("192.0.2.60")),
        ('host="a\\"b,c" ; For = 192.0.2.60', SenderAddress("192.0.2.60")),
        ("for=1.2.3.4, proto=https", SenderAddress("", "hidden")),
        ("for=1.2.3.4;for=5.6.7.8", SenderAddress("", "unreadable")),
        # An open quote swallows the rest of the header, and spoofs nothing.
        ('for=1.2.3.4, for=", for=192.0.2.60', SenderAddress("", "unreadable")),
        ('for=1.2.3.4, x=", for="192.0.2.60"', SenderAddress("", "unreadable")),
        ("", SenderAddress(PROXY, "absent")),
        (" , ", SenderAddress(PROXY, "absent")),
    ],
)
def test_forwarded_is_read_as_in_rfc_7239(value: str, found: SenderAddress):
    assert sender(PROXY, "forwarded", value, TRUSTED) == found


@pytest.mark.parametrize(
    "by_sender", ['for=1.2.3.4;x="', 'for=1.2.3.4;x="\\', 'for=1.2.3.4;"', 'x=";for=1.2.3.4', 'for=1.2.3.4;x=a"']
)
@pytest.mark.parametrize(
    "by_proxy", ["for=192.0.2.60", 'for="[2001:db8::7]:443"', 'for=192.0.2.60;host="a";by="_b"', 'host="";for=192.0.2.60']
)
@pytest.mark.parametrize("behind", ["", ",for=10.0.0.2", ',for="10.0.0.2:80"'])
def test_a_sender_cannot_choose_its_address_with_an_open_quote(by_sender: str, by_proxy: str, behind: str):
    found = sender(PROXY, "forwarded", f"{by_sender}, {by_proxy}{behind}", TRUSTED)
    assert found == SenderAddress("", "unreadable")


def test_two_x_real_ip_headers_give_no_address():
    assert sender(PROXY, "x-real-ip", "192.0.2.60,192.0.2.61", TRUSTED) == SenderAddress("", "unreadable")


@given(st.sampled_from(PROXY_HEADERS), st.text(max_size=60) | st.text('for=",;\\[]:.%1_ a', max_size=60))
def test_no_header_raises_an_error_or_gives_a_long_address(header, value: str):
    found = sender(PROXY, header, value, TRUSTED)
    assert len(found.address) <= 39
    assert found.unknown or ipaddress.ip_address(found.address)


@pytest.mark.parametrize("value", ['"' * 30_000, '"\\' * 15_000, "," * 30_000, 'for="' * 6_000, "1.2.3.4," * 4_000, ";" * 30_000])
def test_a_header_of_any_shape_is_read_once(value: str):
    for header in PROXY_HEADERS:
        sender(PROXY, header, value, TRUSTED)


@pytest.mark.parametrize("header", PROXY_HEADERS)
@pytest.mark.parametrize("spoofed", ["10.1.1.1," * (HOPS + 1), "x" * HEADER_CHARS + ","], ids=["hops", "characters"])
def test_a_header_longer_than_any_chain_of_proxies_is_unreadable(header, spoofed: str):
    assert sender(PROXY, header, f"{spoofed}for=192.0.2.60", TRUSTED) == SenderAddress("", "unreadable")


def test_a_chain_of_the_maximum_number_of_proxies_is_read():
    assert sender(PROXY, "x-forwarded-for", "192.0.2.60" + ",10.1.1.1" * (HOPS - 1), TRUSTED) == SenderAddress("192.0.2.60")
    assert sender(PROXY, "forwarded", "for=192.0.2.60" + ",for=10.1.1.1" * (HOPS - 1), TRUSTED) == SenderAddress("192.0.2.60")


@pytest.mark.parametrize("written", ["10.0.0.0/8", "::ffff:10.0.0.0/104", "::ffff:10.0.0.1", "10.0.0.1"])
@pytest.mark.parametrize("peer", ["10.0.0.1", "::ffff:10.0.0.1"])
def test_a_proxy_is_trusted_in_both_forms_of_its_ipv4_address(written: str, peer: str):
    """A dual-stack server shows its peers as ::ffff:10.0.0.1, and an operator copies this."""
    assert sender(peer, "x-forwarded-for", "203.0.113.7", parse_networks([written])) == SenderAddress("203.0.113.7")


def test_a_network_of_ipv6_stays_one():
    written = ["::/0", "fd00::/8", "::fffe:0:0/95"]
    assert [str(network) for network in parse_networks(written)] == written
