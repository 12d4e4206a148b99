"""Where in the network a problem is, from the outcomes of measurements: pure functions without clocks, files and sockets.

`diagnose` applies the rules of `RULES` to operations. It answers with verdicts and with what is missing for more of them. A verdict
needs evidence: without it, the answer is "not enough evidence", never a guess.
"""

from feedback_analysis.diagnosis.rule_table import RULES, diagnose
from feedback_analysis.diagnosis.verdict import Cause, Confidence, Diagnosis, Evidence, NotEnoughEvidence, Subject, Verdict
from feedback_analysis.diagnosis.viewer_quality import ViewerQuality

__all__ = [
    "RULES",
    "Cause",
    "Confidence",
    "Diagnosis",
    "Evidence",
    "NotEnoughEvidence",
    "Subject",
    "Verdict",
    "ViewerQuality",
    "diagnose",
]
