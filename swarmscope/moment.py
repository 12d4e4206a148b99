"""A moment on the command line: ISO 8601, which is UTC unless it says otherwise, or Unix milliseconds."""

from datetime import UTC, datetime, tzinfo

# The year 33658: milliseconds of more than 15 digits are a mistake.
END_OF_TIME_MS = 10**15


def unix_ms(text: str, zone: tzinfo = UTC) -> int:
    """Unix milliseconds of the moment in `text`, in `zone` unless it names one; ValueError says what is wrong."""
    if text.isdecimal() and len(text) > len("20120807"):
        return min(int(text), END_OF_TIME_MS)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"{text!r} is no time; write 2012-08-07T09:30Z or Unix milliseconds") from error
    return round((moment if moment.tzinfo else moment.replace(tzinfo=zone)).timestamp() * 1000)
