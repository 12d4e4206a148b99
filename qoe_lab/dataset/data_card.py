"""The data card: what a person has to know before using a data set. Markdown, from the rows of the tables. Pure."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import fmean, median
from typing import Any

from qoe_lab.dataset.session_doubts import DOUBTS
from qoe_lab.dataset.splits import SPLITS
from qoe_lab.dataset.table_columns import VERSION, TableRow

UNKNOWN = "–"

CANNOT_SAY = """\
- **It is a laboratory.** One machine played every session over one shaped link, without other traffic on it. Field networks
  have queues, radio links and competing flows that nothing here imitates. A model of this data is not valid for the field until it
  was tested there: models that learn in emulated networks often fail in real ones.
- **The limit explains much.** A model that knows only the limit is a strong one. Compare every score with that of the limit alone,
  and leave one limit, one client and one training out.
- **A session ends after its planned length.** A startup that takes longer is null, and `started` is false. Leaving these sessions
  out makes the network look better than it was.
- **Sessions of one training are alike.** Divide by session or content, never by slot; slots of one session are not independent.
  Resample inside of a fold only.
- **Labels can be wrong.** A player that reports wrong events gives wrong labels. Look at the sessions with doubts first.
- **MOS is a formula**, the platform's quality model with its default coefficients. No person rated these sessions.
- **TCP statistics are those at the client.** What was lost before the capture shows as a gap, not as a retransmission."""


def data_card(
    training: TableRow, settings: Mapping[str, Any], sessions: Sequence[TableRow], slot_states: Mapping[tuple[str, str], int]
) -> str:
    """The card. `slot_states` counts slots by split and state."""
    valid = [session for session in sessions if session["valid"]]
    parts = [
        f"# Data card of the training `{training['training_id']}`",
        f"Tables of version {VERSION}; the page *Data set of a training* of Swarmscope's documentation lists the columns.",
        _heading("Sessions", _sessions(training, sessions)),
        _heading("Balance", _balance(sessions)),
        _heading("Doubts", _doubts(valid)),
        _heading("Splits", _splits(valid, slot_states)),
        _heading("Contents", _contents(valid)),
        _heading("Settings and environment", _table(("setting", "value"), _described(settings))),
        _heading("What this data cannot say", CANNOT_SAY),
        _heading("Privacy", _PRIVACY),
    ]
    return "\n\n".join(parts) + "\n"


_PRIVACY = """\
The captures hold packet headers only, no content. Addresses in the tables are hashed with a key that is in the training's folder,
outside `dataset/`. The captures in `sessions/` have the real addresses: publish `dataset/` only, without `address-key`."""


def _sessions(training: TableRow, sessions: Sequence[TableRow]) -> str:
    reasons = Counter(session["invalid_reason"] for session in sessions if not session["valid"])
    never = sum(session.get("started") is False for session in sessions)
    rows = [
        ("planned", _shown(training["sessions_planned"])),
        ("begun, with repeated attempts", str(len(sessions))),
        ("valid", str(training["sessions_valid"])),
        ("valid, but without a first picture", str(never)),
        ("not valid", str(training["sessions_invalid"])),
        *((f"not valid: `{_shown(reason)}`", str(count)) for reason, count in sorted(reasons.items())),
    ]
    return _table(("sessions", "number"), rows)


def _balance(sessions: Sequence[TableRow]) -> str:
    head = ("limit, Mbit/s", "valid", "not valid", "started", "with stalls", "startup, s", "stall ratio", "height", "MOS")
    groups = _grouped(sessions, lambda session: session.get("limit_mbps"))
    rows = [(_shown(limit), *_of_limit(each)) for limit, each in groups]
    return _table(head, rows) + "\n\nStartup is the median; stall ratio, height and MOS are means of the sessions that started."


def _of_limit(sessions: Sequence[TableRow]) -> tuple[str, ...]:
    valid = [session for session in sessions if session["valid"]]
    started = [session for session in valid if session["started"]]
    return (
        str(len(valid)),
        str(len(sessions) - len(valid)),
        str(len(started)),
        str(sum(session["stall_count"] > 0 for session in started)),
        _shown(median(_known(started, "startup_ms")) / 1000 if started else None),
        *(_mean(started, name) for name in ("stall_ratio", "mean_height", "mos")),
    )


def _doubts(valid: Sequence[TableRow]) -> str:
    """How far labels, packets and the request log agree."""
    counts = Counter(name for session in valid for name in (session["doubts"] or "").split())
    rows = [(f"`{name}`", meaning, str(counts[name])) for name, (meaning, _) in DOUBTS.items()]
    both = [session for session in valid if session.get("startup_ms") is not None and session.get("server_startup_ms") is not None]
    if not both:
        return _table(("doubt", "meaning", "valid sessions"), rows)
    late_ms = median(session["startup_ms"] - session["server_startup_ms"] for session in both)
    witnesses = (
        f"The player's startup minus the arrival of the first segment in the request log is {late_ms:.0f} ms "
        f"(median of {len(both)} sessions)."
    )
    return _table(("doubt", "meaning", "valid sessions"), rows) + f"\n\n{witnesses}"


def _splits(valid: Sequence[TableRow], slot_states: Mapping[tuple[str, str], int]) -> str:
    head = ("split", "sessions", "contents", "slots: startup", "play", "stall")
    rows = []
    for split in SPLITS:
        inside = [session for session in valid if session["split"] == split]
        contents = {session["content_id"] for session in inside if session["content_id"] is not None}
        states = (str(slot_states.get((split, state), 0)) for state in ("startup", "play", "stall"))
        rows.append((split, str(len(inside)), str(len(contents)), *states))
    empty = [split for split in SPLITS if not any(session["split"] == split for session in valid)]
    warning = f"\n\n**No session is in {' and '.join(empty)}**: this training played too few contents for a fixed division."
    return _table(head, rows) + (warning if empty and valid else "")


def _contents(valid: Sequence[TableRow]) -> str:
    groups = _grouped(valid, lambda session: session.get("content_id"))
    rows = [(_shown(content), _shown(each[0]["split"]), str(len(each))) for content, each in groups]
    return _table(("content", "split", "valid sessions"), rows)


def _described(settings: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    for name, value in settings.items():
        text = ", ".join(map(_shown, value)) if isinstance(value, list) else _shown(value)
        yield f"`{name}`", text


def _grouped(sessions: Iterable[TableRow], key: Callable[[TableRow], Any]) -> list[tuple[Any, list[TableRow]]]:
    groups: dict[Any, list[TableRow]] = {}
    for session in sessions:
        groups.setdefault(key(session), []).append(session)
    return sorted(groups.items(), key=lambda group: (group[0] is None, group[0]))


def _known(sessions: Iterable[TableRow], name: str) -> list[float]:
    return [session[name] for session in sessions if session[name] is not None]


def _mean(sessions: Sequence[TableRow], name: str) -> str:
    known = _known(sessions, name)
    return _shown(fmean(known) if known else None)


def _shown(value: object) -> str:
    if value is None:
        return UNKNOWN
    if isinstance(value, float):
        return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return " ".join(str(value).encode("utf-8", "replace").decode().replace("|", "\\|").split())


def _heading(title: str, text: str) -> str:
    return f"## {title}\n\n{text}"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
