"""`python -m endhost_sdk send URL`: send one message to test a coordinator. Unlike the SDK, the command waits for the answer."""

import argparse
import io
import json
import os
import sys

from endhost_sdk.buffer import MessageBatch
from endhost_sdk.request import DeliveryOutcome, encode, interpret, request_for
from endhost_sdk.session import Session
from endhost_sdk.telemetry_settings import feedback_urls
from endhost_sdk.transport import HttpTransport, Unreachable

_EXAMPLES = """examples:
  python -m endhost_sdk send http://127.0.0.1:8080
  python -m endhost_sdk send https://coordinator.example --key YOUR-INGEST-KEY
  SWARMSCOPE_KEY=YOUR-INGEST-KEY python -m endhost_sdk send https://coordinator.example --channel Badminton
"""


def main() -> int:
    """Send the message. The exit code is 0 if the message is on disk, 1 if it is not, 2 for a usage error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # so print() never fails for a character that the locale lacks
    arguments = _parser().parse_args()
    try:
        return _send(arguments.url, arguments.key, Session(peer_id=_text(arguments.peer_id), channel=_text(arguments.channel)))
    except (Unreachable, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        if isinstance(error, Unreachable):
            print(f"Is a coordinator listening at {arguments.url}?", file=sys.stderr)
        return 1


def _send(url: str, key: str | None, session: Session) -> int:
    target = feedback_urls(url)[0]
    message = session.message("join")
    body, headers = request_for(MessageBatch((encode(message),), 0), key)
    print(f"POST {target}\n{json.dumps(message, indent=2, ensure_ascii=False)}")
    transport = HttpTransport()
    answer = transport.post(target, body, headers, timeout_s=10)
    transport.close()
    verdict = interpret(answer, 1)
    if verdict.outcome is DeliveryOutcome.ACCEPTED and not verdict.refused_for:
        print(f"{answer.status} {answer.body.decode(errors='replace')}\nThe message is on disk.")
        return 0
    print(f"error: the coordinator did not accept the message: {verdict.detail}", file=sys.stderr)
    return 1


def _text(argument: str) -> str:
    """An argument as text. If the locale could not decode it, it is decoded as UTF-8."""
    try:
        argument.encode()
    except UnicodeEncodeError:
        return os.fsencode(argument).decode(errors="replace")
    return argument


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m endhost_sdk",
        description="Test a Swarmscope coordinator from this machine.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="send")
    send = commands.add_parser(
        "send",
        help="send one feedback message and print the answer",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    send.add_argument("url", help="URL of the coordinator, such as http://127.0.0.1:8080")
    send.add_argument("--key", default=os.environ.get("SWARMSCOPE_KEY"), help="ingest key (environment variable: SWARMSCOPE_KEY)")
    send.add_argument("--peer-id", default="test", help="id of the end host (default: %(default)s)")
    send.add_argument("--channel", default="test", help="name of the channel (default: %(default)s)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
