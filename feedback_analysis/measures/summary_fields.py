"""The names of the numbers in a summary, for modules that show a summary and do not compute one."""

COSTS = ("duplicates", "conflicts", "unreadable", "lost", "late", "implausible")
"""The counts of duplicates, damage and loss. They are known for all records, not for groups."""

COUNTED = ("messages", *COSTS, "peers", "sessions", "starts", "stalls")
"""All counts."""

DISTRIBUTIONS = ("upload_kbps", "download_kbps", "playback_kbps", "continuity", "startup_ms", "mos")
"""The fields that have a mean, a median and a 95th percentile, in order."""
