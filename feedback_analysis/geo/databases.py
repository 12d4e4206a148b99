"""Opens location databases. The type in the file decides about the layout, not the file name.

A database of a wrong type is refused when it is opened, and so is a database whose records lack the fields of its layout.

City files come in two layouts: MaxMind's (GeoIP2, GeoLite2, Enterprise, DB-IP's own downloads, ours) and the flat one of the
`ip-location-db` packages. A record that cannot be read fails only its own lookup (`LookupFailed`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from itertools import islice
from pathlib import Path
from typing import Generic, TypeVar

import maxminddb_rust

from feedback_analysis.geo.geo_record import GeoRecord
from feedback_analysis.geo.layouts import Misshapen, Record, flat_record, has_isp, has_location, isp_of, nested_record
from feedback_analysis.geo.private_copy import FileState, LocationFileError, Unparsable, open_copy, parsing

LookupResult = TypeVar("LookupResult")

# A file of this type has all addresses of Hong Kong and no others: an address that it lacks is abroad.
HONG_KONG_CITY_TYPE = "Swarmscope-Hong-Kong-City"
HONG_KONG_ASN_TYPE = "Swarmscope-Hong-Kong-ASN"

FLAT_CITY_TYPES = ("city ipv4", "city ipv6")

# Enough to find each kind of record, within 50 ms; in most databases the first record has a location.
_LOOKED_AT = 2_000


class LookupFailed(Exception):  # noqa: N818 - the name states the error
    """The database has a record for an address, and it cannot be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordLayout(Generic[LookupResult]):
    """How a record becomes an answer (`read`), whether an answer has content (`has_content`), and the answer without a record."""

    read: Callable[[Record], LookupResult]
    has_content: Callable[[LookupResult], bool]
    needs: str
    missing: LookupResult | None = None


_NESTED = RecordLayout(
    read=nested_record, has_content=has_location, needs="country.iso_code, or location.longitude and location.latitude"
)
_FLAT = RecordLayout(read=flat_record, has_content=has_location, needs="country_code, or longitude and latitude")
# The shipped subset: its source has every public address, so a missing one is abroad.
_HONG_KONG = RecordLayout(read=nested_record, has_content=has_location, needs=_NESTED.needs, missing=GeoRecord(abroad=True))
_ISPS = RecordLayout(read=isp_of, has_content=has_isp, needs="isp, autonomous_system_organization, as_name, name, or asn")


class Database(Generic[LookupResult]):
    """One database, as it was when it was opened. It is never closed explicitly, because another thread may be reading it."""

    def __init__(self, reader: maxminddb_rust.Reader, layout: RecordLayout[LookupResult], *, kind: str, state: FileState) -> None:
        self.kind = kind
        self.state = state
        self._reader = reader
        self._layout = layout
        # An IPv6 search tree has IPv4 addresses as well; if not, a lookup finds no record.
        self._versions = (4,) if reader.metadata().ip_version == 4 else (4, 6)

    def answer(self, address: IPv4Address | IPv6Address) -> LookupResult | None:
        """The answer for the address; None if there is none. LookupFailed if its record cannot be read."""
        if address.version not in self._versions:
            return self._layout.missing
        try:
            with parsing():
                record = self._reader.get(address)
            return self._layout.missing if record is None else self._layout.read(_map(record))
        except (Unparsable, Misshapen, MemoryError) as error:
            raise LookupFailed(str(error) or "there is not enough memory") from error

    def sample(self) -> "Sample":
        """The first records, up to the first one with content."""
        silent, broken, fields = 0, "", set[str]()
        try:
            with parsing():
                for _, record in islice(self._reader, _LOOKED_AT):
                    try:
                        if self._layout.has_content(self._layout.read(_map(record))):
                            return Sample(has_content=True, silent=silent, broken=broken, fields=(), needs=self._layout.needs)
                    except Misshapen as error:
                        broken = broken or str(error)
                        continue
                    fields.update(_map(record))
                    silent += 1
        except (Unparsable, MemoryError) as error:
            broken = broken or str(error)
        return Sample(has_content=False, silent=silent, broken=broken, fields=tuple(sorted(fields)), needs=self._layout.needs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """The first records of a database: whether one of them has content, how many have none, and why one cannot be read."""

    has_content: bool
    silent: int
    broken: str
    fields: tuple[str, ...]
    needs: str

    def words(self) -> str:
        """The error as text; empty if there is none."""
        if self.has_content:
            return ""
        if self.broken:
            return f"not one of its first records can be used: {self.broken}"
        if not self.silent:
            return "it holds no record"
        listed = ", ".join(name if name.isprintable() else repr(name) for name in self.fields[:12]) or "none"
        return f"not one of its first {self.silent:,} records has {self.needs}; their fields are {listed}"


def open_city(path: Path) -> Database[GeoRecord]:
    """Open a city database; LocationFileError if the file is no city database or cannot be read."""
    kind, reader, state = _opened(path)
    if kind == HONG_KONG_CITY_TYPE:
        return Database(reader, _HONG_KONG, kind=kind, state=state)
    if kind in FLAT_CITY_TYPES:
        return Database(reader, _FLAT, kind=kind, state=state)
    if "City" in kind or "Enterprise" in kind:
        return Database(reader, _NESTED, kind=kind, state=state)
    raise LocationFileError(
        f"{path} is a database of type {kind!r}; cities need one in the GeoIP2 layout, such as GeoLite2-City, "
        "GeoIP2-City, GeoIP2-Enterprise or DBIP-City-Lite, or a flat 'city ipv4' one"
    )


def open_asn(path: Path) -> Database[str]:
    """Open a database of ISPs (type ASN or ISP); LocationFileError if the file is no such database or cannot be read."""
    kind, reader, state = _opened(path)
    if any(word in kind.casefold() for word in ("asn", "isp", "enterprise")):
        return Database(reader, _ISPS, kind=kind, state=state)
    raise LocationFileError(
        f"{path} is a database of type {kind!r}; ISPs need an ASN database, such as GeoLite2-ASN, GeoIP2-ISP or DBIP-ASN-Lite"
    )


def _opened(path: Path) -> tuple[str, maxminddb_rust.Reader, FileState]:
    reader, state = open_copy(path)
    try:
        with parsing():
            return str(reader.metadata().database_type), reader, state
    except Unparsable as error:
        raise LocationFileError(f"{path} is not a readable MaxMind DB file (.mmdb): {error}") from error


def _map(record: object) -> Record:
    if not isinstance(record, dict):
        raise Misshapen(f"the record is of type {type(record).__name__} and not a map")
    return record
