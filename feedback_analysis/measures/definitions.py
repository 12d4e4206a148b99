"""The definition of each measure, in a sentence and as a formula, as the dashboard shows it; docs/measures.md has the details.

w is the weight of a message, which is 1 without sampling. A message without the field is left out of both sums and does not count
as 0. Quality models are shown with their default coefficients, which `--model-set` and `--mos-…` change.
"""

from dataclasses import dataclass

from feedback_analysis.measures.registry import Kind, Measure

PAPER = "the monitored Olympics of 2012, section 4.2"
MESSAGE = "the end host's message"
COUNTED = "counted from peer_id and received_ms"


@dataclass(frozen=True, slots=True)
class Definition:
    """A sentence, the formula, and the source of the measure."""

    meaning: str
    formula: str
    source: str


_MEAN = "Σ w·x ÷ Σ w, over messages with the field"

DEFINITIONS = {
    "mos": Definition(
        "How viewers would rate the quality, from 1 (bad) to 5 (excellent): a score for each message, then the mean. With the "
        "paper's calibration it is 0.7 to 1.0 above the ratings of people, and it depends on the reporting period.",
        "c1·(1 − continuity) + a·(1 − exp(−λ·playback_kbps)) + c2, shifted to end at 5",
        f"{PAPER}, equation 1",
    ),
    "mos_stalling": Definition(
        "How people would rate a session with these stalls and no other problem, from 1.5 to 5.",
        "3.5·exp(−(0.15·s + 0.19·N)) + 1.5, for N stalls of s seconds in all; mean over sessions",
        "Hoßfeld et al., IEEE ISM 2011",
    ),
    "qoe_linear": Definition(
        "Bitrate in Mbit/s minus penalties for stalls and for changes of bitrate; below 0 if the penalties are larger.",
        "kbps ÷ 1000 − 4.3·min(4 s·(1 − continuity) ÷ continuity, 30 s) − |change of kbps| ÷ 1000, for each message",
        "Yin et al., SIGCOMM 2015; Mao et al., SIGCOMM 2017",
    ),
    "startup_score": Definition(
        "How quickly a session started: 100 at once, 80 after 2 s, 50 after 8 s.",
        "100·8 ÷ (8 + startup in s); mean over sessions",
        "the shape of Mux's startup score",
    ),
    "good_sessions": Definition(
        "Share of the sessions that started within 4 s and stalled for at most 2 % of their time.",
        "sessions that meet both conditions ÷ sessions of which it is known whether they started",
        "as in Conviva's Streaming Performance Index; the thresholds are ours",
    ),
    "rebuffering_ratio": Definition(
        "Share of the viewing time that was stalled: the time that stalls took, of the time played and stalled.",
        "Σ w·(increase of stall_ms) ÷ Σ w·(increase of stall_ms + increase of played_ms), over messages",
        MESSAGE,
    ),
    "stalls_per_hour": Definition(
        "How often playback stalls: the stalls that began, for each hour played and stalled.",
        "Σ w·(increase of stall_count) ÷ Σ w·(increase of stall_ms + increase of played_ms) in hours, over messages",
        MESSAGE,
    ),
    "stall_ms": Definition(
        "How long a stall lasts on average.", "Σ w·(increase of stall_ms) ÷ Σ w·(increase of stall_count), over messages", MESSAGE
    ),
    "longest_stall_ms": Definition(
        "The longest stall of all sessions. Stalls that begin in one message count with their mean length.",
        "the largest increase of stall_ms while stall_count does not change, ÷ the stalls that began in it",
        MESSAGE,
    ),
    "start_failures": Definition(
        "The share of sessions that never played, of the sessions that joined and whose result is known.",
        "sessions without startup, time played or continuity above 0 ÷ sessions that joined and then played, left, "
        "or joined two reporting periods before the end",
        MESSAGE,
    ),
    "continuity": Definition("Share of the due playback that was played; 1 minus it is the share stalled.", _MEAN, PAPER),
    "startup_ms": Definition(
        "Time from the viewer's request to the first picture: the last value that each session reported.",
        "Σ w·x ÷ Σ w, over sessions",
        MESSAGE,
    ),
    "upload_kbps": Definition("Sent to other peers, mean of each reporting interval.", _MEAN, PAPER),
    "download_kbps": Definition("Received from peers and servers, mean of each reporting interval.", _MEAN, PAPER),
    "playback_kbps": Definition("Bitrate of the played video, mean of each reporting interval.", _MEAN, MESSAGE),
    "contribution_ratio": Definition(
        "Upload of peers divided by their download. At 1, peers upload as much as they download.",
        "Σ w·upload_kbps ÷ Σ w·download_kbps, over messages with both fields",
        PAPER,
    ),
    "p2p_ratio": Definition("Share of the downloaded bytes that came from peers instead of servers.", _MEAN, MESSAGE),
    "buffer_ms": Definition("Playback time that is buffered at the moment of reporting.", _MEAN, MESSAGE),
    "partners": Definition("Peers connected at the moment of reporting.", _MEAN, MESSAGE),
    "concurrent_peers": Definition(
        "Viewers that sent a message within one reporting period before a time.",
        "distinct peers with a message in (t − period, t]",
        COUNTED,
    ),
    "new_peers": Definition("Viewers whose first message in memory is in the step.", "distinct peers by first message", COUNTED),
    "total_peers": Definition("Distinct viewers of each step.", "distinct peers with a message in the step", COUNTED),
    "cumulative_peers": Definition(
        "Distinct viewers since the beginning of the time range.", "distinct peers with a message since its beginning", COUNTED
    ),
    "messages": Definition("Feedback messages, each counted once.", "Σ w over messages", "(session_id, seq) of each message"),
}

FIGURES = {
    "impact": (
        "Impact",
        "peers × the measure's unit",
        Definition(
            "How much a slice lowers the result: the gain if its peers had the same quality as all other peers.",
            "peers in the slice × how much worse its mean is than the mean of the rest; 0 if it is not worse",
            "Swarmscope",
        ),
    ),
}
"""Numbers that the pages show in addition to the measures: title, unit and definition."""


def definition_of(measure: Measure) -> Definition:
    """The definition of `measure`; for a number in `extra`, how it is aggregated."""
    if measure.name in DEFINITIONS:
        return DEFINITIONS[measure.name]
    formula = "Σ w·x ÷ Σ w, over sessions" if measure.kind is Kind.SESSION else _MEAN
    return Definition(f"{measure.title}, {measure.kind.value}.", formula, MESSAGE)
