"""An operator is known by its AS number; the organisation's legal name is only what is left when we know no better.

One operator may run several networks: they count as one here when they sell to the same isp_peers.
"""

from __future__ import annotations

from feedback_analysis.geo.location import UNKNOWN_ISP

HONG_KONG_ISPS = {
    3363: "HKUST",
    3661: "CUHK",
    4058: "CITIC Telecom",
    4158: "CityU",
    4515: "PCCW Business",
    4528: "HKU",
    4605: "HKBU",
    4616: "PolyU",
    4760: "PCCW",
    9269: "HKBN",
    9293: "HKNet",
    9304: "HGC",
    9381: "HKBN Enterprise",
    9444: "PCCW Business",
    9908: "i-Cable",
    10103: "HKBN",
    10118: "HGC",
    10132: "Towngas Telecom",
    17444: "HKBN Enterprise",
    17924: "SmarTone",
    38819: "CSL",
    137872: "China Mobile HK",
}


def isp_name(number: int, organisation: str) -> str:
    """The short name of a Hong Kong operator, else the organisation as its source writes it."""
    if number in HONG_KONG_ISPS:
        return HONG_KONG_ISPS[number]
    return organisation.strip() or (f"AS{number}" if number else UNKNOWN_ISP)
