"""The validity of a certificate, as the library that made it states it."""

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from cryptography import x509

from serving.certificate import validity, validity_warning

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.mark.parametrize("ends", [NOW + DAY, NOW - DAY, datetime(2049, 12, 31, tzinfo=UTC), datetime(2050, 1, 2, tzinfo=UTC)])
def test_the_times_of_a_certificate_are_read_as_they_were_written(authority: trustme.CA, ends: datetime):
    issued = authority.issue_cert("a.example", not_before=datetime(2001, 2, 3, tzinfo=UTC), not_after=ends)
    pem = b"".join(blob.bytes() for blob in issued.cert_chain_pems)
    known = x509.load_pem_x509_certificate(pem)
    assert validity(pem) == (known.not_valid_before_utc, known.not_valid_after_utc)


@pytest.mark.parametrize(
    ("begins", "ends", "words"),
    [
        (NOW - 90 * DAY, NOW + 30 * DAY, ""),
        (NOW - 90 * DAY, NOW + 3 * DAY, "expires at 2026-11-24"),
        (NOW - 90 * DAY, NOW - DAY, "expired at 2026-11-20"),
        (NOW + DAY, NOW + 90 * DAY, "is not valid before 2026-11-22"),
    ],
)
def test_a_warning_is_given_while_there_is_time_to_act(tmp_path: Path, authority: trustme.CA, begins, ends, words):
    path = tmp_path / "cert.pem"
    path.write_bytes(authority.issue_cert("a.example", not_before=begins, not_after=ends).cert_chain_pems[0].bytes())
    assert words in validity_warning(path, NOW.timestamp())
    assert bool(words) == bool(validity_warning(path, NOW.timestamp()))


def test_a_version_1_certificate_is_read(tmp_path: Path):
    key, request, cert = (tmp_path / name for name in ("key.pem", "request.pem", "cert.pem"))
    make = ["openssl", "req", "-new", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=a", "-keyout", key, "-out", request]
    subprocess.run(make, check=True, capture_output=True)
    sign = ["openssl", "x509", "-req", "-in", request, "-key", key, "-days", "9", "-out", cert]
    subprocess.run(sign, check=True, capture_output=True)
    begins, ends = validity(cert.read_bytes())
    assert ends - begins == 9 * DAY


def test_bytes_that_are_not_a_certificate_give_no_warning_and_only_valueerror(tmp_path: Path, authority: trustme.CA):
    pem = authority.issue_cert("a.example").cert_chain_pems[0].bytes()
    rubbish = [b"", b"rubbish", pem.replace(b"MII", b"MIA", 1), *(pem[:28] + pem[28:][:at] + pem[-26:] for at in range(0, 500, 7))]
    for data in rubbish:
        try:
            validity(data)
        except ValueError:
            continue
    assert validity_warning(tmp_path / "nowhere", NOW.timestamp()) == ""
