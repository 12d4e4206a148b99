"""`python -m qoe_lab.sources`: make the contents, and serve them; list channels of Twitch."""

import argparse
import asyncio
import json
import sys
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from qoe_lab.sources.content_server import ContentServerSettings, serve
from qoe_lab.sources.twitch import Twitch, TwitchError, read_credentials
from qoe_lab.sources.video_encoding import make_contents
from serving.lifecycle import on_stop
from serving.listening import parse_listen, url_of


def main() -> int:
    """The exit code: 0, 1 if it cannot be done, 2 for a usage error."""
    arguments = _parser().parse_args()
    try:
        if arguments.command == "make":
            make_contents(arguments.folder, progress=_progress)
        elif arguments.command == "serve":
            asyncio.run(_serve(arguments))
        else:
            asyncio.run(_list_channels(arguments))
    except (OSError, ValueError, TwitchError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


def _progress(content_id: str, done: int, total: int) -> None:
    sys.stdout.write(f"{content_id} is ready ({done} of {total})\n")
    sys.stdout.flush()


async def _serve(arguments: argparse.Namespace) -> None:
    host, port = parse_listen(arguments.listen)
    settings = ContentServerSettings(
        contents=arguments.folder,
        seconds=arguments.seconds,
        request_log=arguments.request_log,
        tcp_info_log=arguments.tcp_info_log,
    )
    task = asyncio.ensure_future(serve(settings, host, port, _ready))
    on_stop(task.cancel)
    with suppress(asyncio.CancelledError):
        await task


async def _list_channels(arguments: argparse.Namespace) -> None:
    async with Twitch(read_credentials(arguments.credentials)) as twitch:
        for channel in await twitch.live_channels(arguments.count, language=arguments.language):
            sys.stdout.write(json.dumps({**asdict(channel), "url": channel.url}) + "\n")


def _ready(host: str, port: int) -> None:
    """Print the line for which the lab waits."""
    sys.stdout.write(f"content server ready on {url_of(host, port, secure=False)}\n")
    sys.stdout.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m qoe_lab.sources", description="Make and serve the contents of the QoE lab.")
    commands = parser.add_subparsers(required=True, dest="command", metavar="COMMAND")
    make = commands.add_parser("make", help="encode the contents into a folder, unless they are there")
    make.add_argument("folder", type=Path, help="folder of the contents")
    serve_command = commands.add_parser("serve", help="serve the contents of a folder over HTTP until a signal ends it")
    serve_command.add_argument("folder", type=Path, help="folder of the contents")
    serve_command.add_argument("--listen", default="127.0.0.1:0", help="address and port; port 0 selects a free port")
    serve_command.add_argument("--seconds", type=float, default=120, help="how long each content plays (default: %(default)s)")
    serve_command.add_argument("--request-log", type=Path, help="file to which each request is appended (JSON lines)")
    serve_command.add_argument("--tcp-info-log", type=Path, help="file for the state of each connection, every 100 ms (JSON lines)")
    twitch = commands.add_parser(
        "twitch", help="list live channels of Twitch, which no session can play yet; needs a client id and its secret"
    )
    twitch.add_argument("--credentials", type=Path, help="file with client_id=… and client_secret=…; default: the environment")
    twitch.add_argument("--count", type=int, default=20, help="number of channels, 1 to 100 (default: %(default)s)")
    twitch.add_argument("--language", help="only channels in this language, such as en")
    return parser


if __name__ == "__main__":
    sys.exit(main())
