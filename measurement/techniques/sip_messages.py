"""SIP requests and responses as text (RFC 3261), as far as probes need them."""

import re
import secrets
from dataclasses import dataclass, field, replace

BRANCH = "z9hG4bK"
"""Each branch of RFC 3261 begins so."""
SDP = "v=0\r\no=- 0 0 IN IP4 {host}\r\ns=-\r\nc=IN IP4 {host}\r\nt=0 0\r\nm=audio 9 RTP/AVP 0\r\na=inactive\r\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class SipRequest:
    """A request of one dialog."""

    method: str
    uri: str
    local: str
    """Host and port that the server sees in `Via` and `Contact`."""
    transport: str
    number: int = 1
    """CSeq."""
    to_tag: str = ""
    branch: str = field(default_factory=lambda: BRANCH + secrets.token_hex(8))
    call: str = field(default_factory=lambda: secrets.token_hex(8))
    """Call-ID."""
    from_tag: str = field(default_factory=lambda: secrets.token_hex(4))

    def text(self) -> bytes:
        """The request as it is sent."""
        body = SDP.format(host=self.local.rpartition(":")[0]) if self.method == "INVITE" else ""
        lines = [
            f"{self.method} {self.uri} SIP/2.0",
            f"Via: SIP/2.0/{self.transport.upper()} {self.local};branch={self.branch};rport",
            "Max-Forwards: 70",
            f"From: <sip:swarmscope@{self.local}>;tag={self.from_tag}",
            f"To: <{self.uri}>" + (f";tag={self.to_tag}" if self.to_tag else ""),
            f"Call-ID: {self.call}@swarmscope",
            f"CSeq: {self.number} {self.method}",
            f"Contact: <sip:swarmscope@{self.local}>",
            "User-Agent: swarmscope-measurement",
            *(["Content-Type: application/sdp"] if body else ["Accept: application/sdp"]),
            f"Content-Length: {len(body)}",
        ]
        return ("\r\n".join(lines) + "\r\n\r\n" + body).encode("ascii", "replace")

    def acknowledgement(self, *, accepted: bool, to_tag: str) -> "SipRequest":
        """The ACK of a final response to an INVITE: with a branch of its own only if the call was accepted (13.2.2.4, 17.1.1.3)."""
        branch = BRANCH + secrets.token_hex(8) if accepted else self.branch
        return replace(self, method="ACK", to_tag=to_tag, branch=branch)

    def cancel(self) -> "SipRequest":
        """The CANCEL of an INVITE without a final response (9.1)."""
        return replace(self, method="CANCEL", to_tag="")

    def bye(self, *, to_tag: str) -> "SipRequest":
        """The end of an accepted call."""
        return replace(self, method="BYE", number=self.number + 1, to_tag=to_tag, branch=BRANCH + secrets.token_hex(8))


@dataclass(frozen=True, slots=True, kw_only=True)
class SipResponse:
    """What identifies a response and says how it went."""

    code: int
    branch: str
    method: str
    to_tag: str

    def answers(self, request: SipRequest) -> bool:
        """Whether it belongs to this request (17.1.3)."""
        return (self.branch, self.method) == (request.branch, request.method)


_STATUS = re.compile(r"SIP/2\.0 ([1-6]\d\d)\b")
_VIA = re.compile(r"^(?:via|v)\s*:[^,\r\n]*;\s*branch\s*=\s*([^;,\s]+)", re.IGNORECASE | re.MULTILINE)
_CSEQ = re.compile(r"^cseq\s*:\s*\d+\s+([A-Z]+)", re.IGNORECASE | re.MULTILINE)
_TO = re.compile(r"^(?:to|t)\s*:[^\r\n]*;\s*tag\s*=\s*([^;\s]+)", re.IGNORECASE | re.MULTILINE)


def read_response(data: bytes) -> SipResponse | None:
    """The response in a datagram; None if it is none."""
    text = data.decode("utf-8", "replace").lstrip("\r\n")
    status, via, cseq, to = _STATUS.match(text), _VIA.search(text), _CSEQ.search(text), _TO.search(text)
    if status is None or via is None or cseq is None:
        return None
    return SipResponse(code=int(status[1]), branch=via[1], method=cseq[1].upper(), to_tag=to[1] if to else "")
