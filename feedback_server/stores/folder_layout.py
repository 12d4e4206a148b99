"""The names in a data folder.

    20120807T093000Z-fs1-0000.journal       a journal
    20120807T093000Z-fs1-0000.jsonl.zst     a sealed log; csv.zst and parquet are the other forms
    recent-batches                          the ids of the newest batches
    .NAME.sealing                           the sealed log or the batch ids NAME, while they are written
    .lock                                   locked while a server uses the folder
    quarantine/NAME.OFFSET                  damaged bytes of the journal NAME
    state/sealed-logs                       the saved index of the sealed logs
    state/lived-time.json                   the time during which the server has run

Other names are those of files of other software, which the server leaves alone.
"""

RECENT_BATCHES = "recent-batches"
LOCK = ".lock"
QUARANTINE = "quarantine"
STATE = "state"
SEALED_LOGS = "sealed-logs"
_DRAFT_SUFFIX = ".sealing"


def draft_of(name: str) -> str:
    """The name of a file until it is complete."""
    return f".{name}{_DRAFT_SUFFIX}"


def completed_name(draft: str) -> str | None:
    """The name that a draft would get; None if `draft` is not the name of a draft."""
    name = draft.removeprefix(".").removesuffix(_DRAFT_SUFFIX)
    return name if draft == draft_of(name) else None


def may_be_log(name: str) -> bool:
    """Whether a name looks like that of a journal or a sealed log. Parsing millions of names would take seconds."""
    return "0" <= name < ":" and name[8:9] == "T"
