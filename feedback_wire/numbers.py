"""Numbers in texts that other programs wrote."""


def parsed_float(text: str) -> float:
    """The number in `text`; ValueError also for `1_000`, which only Python reads as a number."""
    if "_" in text:
        raise ValueError(f"{text[:40]!r} is not a number")
    return float(text)
