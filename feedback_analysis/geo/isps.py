"""The name of an ISP, by its AS number; the organisation's legal name is used only for an unknown number.

One company may run several networks. They count as one ISP if they have the same customers.
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
    """The short name of a Hong Kong ISP, else the organisation as in the source."""
    if number in HONG_KONG_ISPS:
        return HONG_KONG_ISPS[number]
    return organisation.strip() or (f"AS{number}" if number else UNKNOWN_ISP)
