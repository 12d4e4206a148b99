"""A reverse proxy that passes requests to a server, and answers some batches itself.

Unlike `ChaosProxy` it speaks HTTP, because its faults are answers.
"""

import http.client
import threading
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from urllib.parse import urlsplit

HTML = b"<html>\n<h1>Request blocked</h1>\n</html>"


class Relay:
    """Listens on a free port while its `with` block lasts; a batch for which `blocks` is true gets `status` and a page in HTML."""

    def __init__(self, upstream: str) -> None:
        self.blocks: Callable[[bytes], bool] = lambda _body: False
        self.status = 400
        self.answered: Counter[int] = Counter()
        """How many batches got which status from the relay itself."""
        self.upstream = str(urlsplit(upstream).netloc)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> "Relay":
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)


def _handler(relay: Relay) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = -1
        timeout = 20

        def do_GET(self) -> None:
            self._pass_on(b"")

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if not relay.blocks(body):
                self._pass_on(body)
                return
            relay.answered[relay.status] += 1
            self._answer(relay.status, "text/html", b"" if relay.status == 204 else HTML)

        def _pass_on(self, body: bytes) -> None:
            upstream = http.client.HTTPConnection(relay.upstream, timeout=20)
            try:
                upstream.request(self.command, self.path, body or None, dict(self.headers.items()))
                answer = upstream.getresponse()
                self._answer(answer.status, str(answer.getheader("content-type")), answer.read())
            except OSError:
                self._answer(502, "text/html", HTML)
            finally:
                upstream.close()

        def _answer(self, status: int, content_type: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("content-type", content_type)
            if status != 204:
                self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            self.wfile.flush()

        def log_message(self, *_: object) -> None:
            """Quiet."""

    return Handler
