"""Status of retrieval, as frozen values, so that a page or scrape sees one consistent moment."""

from dataclasses import dataclass, fields

from feedback_wire.kinds import RecordKind


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrievalCounts:
    """Counts since the start of the platform. `+` adds all fields."""

    polls: int = 0
    """Requests for a catalogue."""
    failures: int = 0
    """Failed rounds: no answer, or an unusable one."""
    bytes_fetched: int = 0
    """Bytes of logs, journals included."""
    logs_mirrored: int = 0
    """Sealed logs that were fetched completely."""
    records_taken: int = 0
    """New records, including those that were read from the mirror."""
    duplicates_dropped: int = 0
    """Records with a known (session_id, seq) and the same content."""
    conflicts_dropped: int = 0
    """Records with a known (session_id, seq) and other content."""
    unreadable_records: int = 0
    """Lines of undamaged frames that are not log records."""
    damaged_frames: int = 0
    """Places with a damaged or incomplete frame, in the mirror or in fetched bytes."""
    implausible_clocks: int = 0
    """Records with an impossible display delay, which the delay ignores."""
    refetches: int = 0
    """Logs, or journal tails, that were fetched again because of damage."""

    logs_skipped: int = 0
    """Logs that a feedback server offers and that are not fetched."""
    logs_removed: int = 0
    """Logs that a feedback server removed before they were fetched completely."""

    def __add__(self, other: "RetrievalCounts") -> "RetrievalCounts":
        return RetrievalCounts(**{field.name: getattr(self, field.name) + getattr(other, field.name) for field in fields(self)})


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerStatus:
    """Status of one feedback server; times are Unix milliseconds."""

    url: str
    name: str | None
    """Its name; None until it has answered once."""
    last_success_ms: int | None
    """Time of the last successful round."""
    failures: int
    """Failed rounds since then."""
    behind_bytes: int
    """Bytes of logs that it offers and that are not fetched yet."""
    last_complete_ms: int | None = None
    """Time at which no byte of its live logs was left to fetch, most recently."""
    error: str | None
    """Text of the last round's error; None after a success."""
    ahead_ms: int = 0
    """How far its clock is ahead of the platform's, behind if negative; 0 for less than 3 s."""
    counts: RetrievalCounts
    knows_kind: bool = True
    """Whether it has the routes of this kind; an older feedback server knows feedback only."""
    skipped: str = ""
    """Text: its logs that are not fetched, and the reasons; empty if all are fetched."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedStatus:
    """Status of all feedback servers, and the sums of their counts and of those of reading the mirror. `kind`: of the records."""

    kind: RecordKind = RecordKind.FEEDBACK
    servers: tuple[ServerStatus, ...]
    reading_back: bool
    """The mirror is being read; polling begins afterwards."""
    counts: RetrievalCounts
    mirror_error: str | None = None
    """Text of the mirror's error on this machine; None without one."""
