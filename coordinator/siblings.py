"""Any worker can be asked for the metrics of all: it asks the others, each over a socket in a folder that they share."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec

from coordinator.counters import Counters

_ANSWER_S = 2.0
_decoder = msgspec.json.Decoder(Counters)


def _socket(folder: Path, number: int) -> Path:
    return folder / f"{number}.sock"


@contextlib.asynccontextmanager
async def telling(folder: Path, number: int, counters: Callable[[], Counters]) -> AsyncIterator[None]:
    """Tell whoever connects what this worker has counted."""

    async def tell(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(msgspec.json.encode(counters()))
        writer.close()

    path = _socket(folder, number)
    path.unlink(missing_ok=True)  # left by this worker's predecessor, if that was killed
    async with await asyncio.start_unix_server(tell, path):
        yield


async def asked(folder: Path, numbers: list[int]) -> list[Counters]:
    """What these workers have counted; one that does not answer is just starting, and has counted nothing."""
    told = await asyncio.gather(*(_ask(_socket(folder, number)) for number in numbers))
    return [counters for counters in told if counters is not None]


async def _ask(path: Path) -> Counters | None:
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(_ANSWER_S):
            reader, writer = await asyncio.open_unix_connection(path)
            try:
                return _decoder.decode(await reader.read())
            finally:
                writer.close()
    return None
