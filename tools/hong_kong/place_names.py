"""Names of the areas, written by hand, because a cell number does not show where an area is.

An area has the names of the places of its addresses. Places on a shore whose own cell has too little land belong to
the nearest area (Tung Chung, Cheung Chau, Pok Fu Lam).
"""

from __future__ import annotations

AREA_NAMES = {
    # Hong Kong Island and the outlying islands
    "86410349fffffff": "Central and Wan Chai",
    "864103497ffffff": "Chai Wan and Shek O",
    "86410348fffffff": "Lamma Island",
    "86411cb77ffffff": "Discovery Bay and Mui Wo",
    "8641034dfffffff": "Chi Ma Wan",
    "86411cb67ffffff": "Tung Chung and Lantau Peak",
    "86411cb6fffffff": "Ngong Ping and Tai O",
    "864103797ffffff": "Shek Pik",
    "86410379fffffff": "Fan Lau",
    "86411cb0fffffff": "Sunny Bay",
    # Kowloon and both sides of the harbour
    "86411cb37ffffff": "Mong Kok and West Kowloon",
    "86411c86fffffff": "Kwun Tong and Quarry Bay",
    "86411c84fffffff": "Sha Tin and Wong Tai Sin",
    "86411c847ffffff": "Sau Mau Ping and Hebe Haven",
    # New Territories, west
    "86411cb17ffffff": "Tsuen Wan and Kwai Chung",
    "86411cb1fffffff": "Sham Tseng and Ma Wan",
    "86411ca27ffffff": "Tuen Mun",
    "86411ca2fffffff": "Castle Peak",
    "86411ca07ffffff": "Tin Shui Wai",
    "86411ca37ffffff": "Yuen Long",
    "86411ca17ffffff": "Mai Po",
    "86411cb8fffffff": "San Tin",
    "86411cbafffffff": "Pat Heung and Tai Mo Shan",
    # New Territories, north
    "86411cb9fffffff": "Sheung Shui",
    "86411cb87ffffff": "Fanling and Tai Wo",
    "86411cb97ffffff": "Ping Che and Ta Kwu Ling",
    "86411c167ffffff": "Sha Tau Kok",
    "86411c8cfffffff": "Wu Kau Tang",
    "86411c8c7ffffff": "Bluff Head",
    "86411cbb7ffffff": "Tai Po",
    "86411cba7ffffff": "Lead Mine Pass",
    # New Territories, east
    "86411c85fffffff": "Fo Tan and Ma On Shan",
    "86411c8efffffff": "Wu Kai Sha",
    "86411c8e7ffffff": "Pak Tam",
    "86411c857ffffff": "Sai Kung Town",
    "86411c80fffffff": "Kau Sai Chau",
    "86411c81fffffff": "Tai Long Wan",
    "86411c867ffffff": "Tseung Kwan O",
}

DISTRICT_NAMES_ZH = {
    "Central and Western": "中西區",
    "Eastern": "東區",
    "Islands": "離島區",
    "Kowloon City": "九龍城區",
    "Kwai Tsing": "葵青區",
    "Kwun Tong": "觀塘區",
    "North": "北區",
    "Sai Kung": "西貢區",
    "Sha Tin": "沙田區",
    "Sham Shui Po": "深水埗區",
    "Southern": "南區",
    "Tai Po": "大埔區",
    "Tsuen Wan": "荃灣區",
    "Tuen Mun": "屯門區",
    "Wan Chai": "灣仔區",
    "Wong Tai Sin": "黃大仙區",
    "Yau Tsim Mong": "油尖旺區",
    "Yuen Long": "元朗區",
}
