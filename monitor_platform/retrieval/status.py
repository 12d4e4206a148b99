"""How retrieval fares: frozen values, so that a page or a scrape sees one moment and not a mixture of two."""

from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrievalCounts:
    """What has happened since the platform started; two add up field by field."""

    polls: int = 0
    """Requests for a catalogue."""
    failures: int = 0
    """Rounds that ended early: no answer, or none that could be used."""
    bytes_fetched: int = 0
    """Bytes of logs, journals included."""
    logs_mirrored: int = 0
    """Sealed logs that were fetched completely."""
    records_taken: int = 0
    """Records that were new to the table, those read back from the mirror included."""
    duplicates_dropped: int = 0
    """Records whose (session_id, seq) the table had already."""
    conflicts_dropped: int = 0
    """Records with other content under a (session_id, seq) that the table had already."""
    unreadable_records: int = 0
    """Lines of undamaged frames that are no log record."""
    damaged_frames: int = 0
    """Stretches that are no whole frame, in the mirror or as fetched."""
    implausible_clocks: int = 0
    """Records whose end host's clock makes a display delay that cannot be: they are left out of it."""
    refetches: int = 0
    """Logs, or journal tails, that were fetched again because of damage."""

    logs_skipped: int = 0
    """Logs that a feedback server offers and that are not fetched."""

    def __add__(self, other: "RetrievalCounts") -> "RetrievalCounts":
        return RetrievalCounts(**{field.name: getattr(self, field.name) + getattr(other, field.name) for field in fields(self)})


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerStatus:
    """One feedback server, as the platform knows it; times are Unix milliseconds."""

    url: str
    name: str | None
    """Its name; None until it has answered once."""
    last_success_ms: int | None
    """When a round last ended well."""
    failures: int
    """Rounds that failed since."""
    behind_bytes: int
    """Bytes of logs that it had offered by then and that are not here yet."""
    error: str | None
    """Why the last round failed, for people; None if it did not."""
    ahead_ms: int = 0
    """How far its clock is ahead of the platform's, behind if negative; 0 for less than 3 s."""
    counts: RetrievalCounts
    skipped: str = ""
    """Which of its logs are not taken, and why, for people; empty if all are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedStatus:
    """All feedback servers, and the sums over them and over what was read back from the mirror."""

    servers: tuple[ServerStatus, ...]
    reading_back: bool
    """The mirror is still being read; polling begins when that is done."""
    counts: RetrievalCounts
    mirror_error: str | None = None
    """Why the mirror on this machine cannot be used, for people; None if it can."""
