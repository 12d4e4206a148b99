"""`python -m endhost_sdk send URL`: one message, to see that a coordinator takes it. Unlike the SDK it waits for the answer."""

import argparse
import io
import json
import os
import sys

from endhost_sdk.buffer import Batch
from endhost_sdk.request import Outcome, encode, request_for, understand
from endhost_sdk.session import Session
from endhost_sdk.terms import feedback_urls
from endhost_sdk.transport import HttpTransport, Unreachable

_EXAMPLES = """examples:
  python -m endhost_sdk send http://127.0.0.1:8080
  python -m endhost_sdk send https://coordinator.example --key YOUR-INGEST-KEY
  SWARMSCOPE_KEY=YOUR-INGEST-KEY python -m endhost_sdk send https://coordinator.example --channel Badminton
"""


def main() -> int:
    """The exit code: 0 if the coordinator has the message on disk, 1 if not, 2 if the command line cannot be read."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # no print fails in a locale that lacks a character
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
    body, headers = request_for(Batch((encode(message),), 0), key)
    print(f"POST {target}\n{json.dumps(message, indent=2, ensure_ascii=False)}")
    transport = HttpTransport()
    answer = transport.post(target, body, headers, timeout_s=10)
    transport.close()
    verdict = understand(answer, 1)
    if verdict.outcome is Outcome.ACCEPTED and not verdict.refused_for:
        print(f"{answer.status} {answer.body.decode(errors='replace')}\nThe message is on disk.")
        return 0
    print(f"error: the coordinator did not take it: {verdict.detail}", file=sys.stderr)
    return 1


def _text(argument: str) -> str:
    """An argument as UTF-8, where the locale could not read it."""
    try:
        argument.encode()
    except UnicodeEncodeError:
        return os.fsencode(argument).decode(errors="replace")
    return argument


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m endhost_sdk",
        description="Try a Swarmscope coordinator from here.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="send")
    send = commands.add_parser(
        "send",
        help="send one feedback message and say what was answered",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    send.add_argument("url", help="the coordinator, such as http://127.0.0.1:8080")
    send.add_argument("--key", default=os.environ.get("SWARMSCOPE_KEY"), help="ingest key (environment: SWARMSCOPE_KEY)")
    send.add_argument("--peer-id", default="first-success", help="id of the end host (default: %(default)s)")
    send.add_argument("--channel", default="test", help="what is being watched (default: %(default)s)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
