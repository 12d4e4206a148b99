"""Problems of services on paths that work: the resolver, TLS, and calls."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence

from feedback_analysis.diagnosis.baselines import FAILING, LOSSY, Judgement
from feedback_analysis.diagnosis.observed_paths import ANSWERED, FAILED, BadShare, ObservedPath, has_value, number, share_of
from feedback_analysis.diagnosis.verdict import Cause, DiagnosisAnswer, Evidence, NotEnoughEvidence, Subject, agreed
from feedback_analysis.measurements.measured_operations import MeasuredOperation

SERVER_FAILURE, NOT_ANSWERED = 2, 5
"""The DNS answers SERVFAIL and REFUSED (RFC 1035, 4.1.1). NXDOMAIN is an answer."""
SIP = ("SIP_OPTIONS", "SIP_INVITE")


def find_failing_resolvers(paths: Sequence[ObservedPath]) -> Iterator[DiagnosisAnswer]:
    """Resolvers that fail although their addresses answer PING, and agents whose own resolver fails although TCP works."""
    yield from _by_destination(Cause.RESOLVER, paths, _resolver)
    by_agent: defaultdict[str, list[MeasuredOperation]] = defaultdict(list)
    for path in paths:
        by_agent[path.key.agent].extend(_looked_up(path))
    for agent, looked_up in sorted(by_agent.items()):
        share = share_of([each for each in looked_up if number(each, "dns_ms") is None], looked_up)
        if share.judgement is Judgement.BAD:
            subject = Subject(text=f"resolver of {agent}", agent=agent)
            yield agreed(Cause.RESOLVER, subject, {agent: _evidence(f"{agent} could not look up names, TCP works", share)})


def _looked_up(path: ObservedPath) -> Iterator[MeasuredOperation]:
    """HTTP operations with a look-up and a connection."""
    requests = path.of("HTTP")
    return (each for each in requests if has_value(each, "dns_ms") and number(each, "tcp_ms") is not None)


def _resolver(path: ObservedPath) -> Evidence | NotEnoughEvidence | None:
    queries = [each for each in path.of("DNS") if each.status in ANSWERED | FAILED]
    share = share_of([each for each in queries if _query_failed(each)], queries)
    ping = path.loss()
    if share.judgement is not Judgement.BAD or ping.judgement is Judgement.BAD:
        return None
    if ping.judgement is Judgement.UNKNOWN:
        return _without_ping(path, share)
    ping_text = f"PING lost {ping.bad} of {ping.total} packets"
    return _evidence(f"{share.bad} of {share.total} DNS queries from {path} failed, {ping_text}", share, ping.operation_ids)


def _query_failed(query: MeasuredOperation) -> bool:
    code = number(query, "rcode")
    return code is None or code in (SERVER_FAILURE, NOT_ANSWERED)


def find_failing_tls(paths: Sequence[ObservedPath]) -> Iterator[DiagnosisAnswer]:
    """Servers to which TCP works and TLS does not."""
    return _by_destination(Cause.TLS, paths, _tls)


def _tls(path: ObservedPath) -> Evidence | None:
    shaken = [each for each in path.of("HTTP") if number(each, "tcp_ms") is not None and has_value(each, "tls_ms")]
    share = share_of([each for each in shaken if number(each, "tls_ms") is None], shaken)
    if share.judgement is not Judgement.BAD:
        return None
    return _evidence(f"{share.bad} of {share.total} TLS handshakes from {path} failed after TCP connected", share)


def find_lossy_calls(paths: Sequence[ObservedPath]) -> Iterator[DiagnosisAnswer]:
    """Addresses that answer SIP, and to which RTP packets are lost."""
    return _by_destination(Cause.RTP_LOSS, paths, _call)


def _call(path: ObservedPath) -> Evidence | NotEnoughEvidence | None:
    media = path.loss(technique="RTP", received="packets_returned")
    if media.judgement is not Judgement.BAD or path.loss().judgement is Judgement.BAD:
        return None
    calls = [each for each in path.of(*SIP) if each.status in ANSWERED | FAILED]
    signalling = share_of([each for each in calls if number(each, "sip_status") is None], calls)
    if signalling.judgement is Judgement.BAD:
        return None
    if signalling.judgement is Judgement.UNKNOWN:
        missing = f"{FAILING.fewest_for_good} SIP_OPTIONS with an answer; there are {signalling.total - signalling.bad}"
        return NotEnoughEvidence(about=_about(path, "calls"), missing=missing, operation_ids=media.operation_ids)
    text = f"{media.bad} of {media.total} RTP packets from {path} were lost; SIP works"
    return _evidence(text, media, signalling.operation_ids)


def _without_ping(path: ObservedPath, share: BadShare) -> NotEnoughEvidence:
    missing = f"a PING of the address with {LOSSY.fewest_for_good} packets, to distinguish the resolver from the path to it"
    return NotEnoughEvidence(about=_about(path, "resolver"), missing=missing, operation_ids=share.operation_ids)


def _about(path: ObservedPath, what: str) -> Subject:
    return Subject(text=f"{what} from {path}", agent=path.key.agent, destination=path.key.address)


def _evidence(text: str, share: BadShare, more_ids: tuple[str, ...] = ()) -> Evidence:
    return Evidence(text=text, operation_ids=share.operation_ids + more_ids, numbers=share.numbers)


def _by_destination(
    cause: Cause, paths: Sequence[ObservedPath], check: Callable[[ObservedPath], Evidence | NotEnoughEvidence | None]
) -> Iterator[DiagnosisAnswer]:
    """One verdict for each address, with the evidence of all agents."""
    found: dict[str, dict[str, Evidence]] = defaultdict(dict)
    for path in paths:
        answer = check(path)
        if isinstance(answer, NotEnoughEvidence):
            yield answer
        elif answer is not None:
            found[path.key.address][path.key.agent] = answer
    for address, evidence in sorted(found.items()):
        hop = address if cause is Cause.RESOLVER else None
        yield agreed(cause, Subject(text=address, destination=address, address=hop), evidence)
