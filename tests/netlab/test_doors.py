"""A process in a lab reaches one server of this machine through a door."""

import gc
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from netlab import Doors, Lab, ServerSocket
from tests.netlab.labs import needs_namespaces, open_descriptors, two_nodes

pytestmark = needs_namespaces
FETCH = "import urllib.request; print(urllib.request.urlopen('http://127.0.0.1:8080/', data=b'x' * 300_000, timeout=60).read())"


class Answering(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(f"{len(body)} bytes".encode())

    def log_message(self, *_: object) -> None:
        pass


def test_each_node_with_a_door_reaches_the_server_and_no_other_does():
    before = open_descriptors()
    with ThreadingHTTPServer(("127.0.0.1", 0), Answering) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        with Lab(two_nodes()) as lab, Doors(lab, ["a"], 8080, ("127.0.0.1", server.server_port)):
            through, without = (lab.start(node, [sys.executable, "-c", FETCH], stdout=subprocess.PIPE) for node in ("a", "b"))
            assert through.communicate(timeout=30)[0] == b"b'300000 bytes'\n"
            assert without.wait(30) != 0
        server.shutdown()
        serving.join()
    assert open_descriptors() == before


def test_a_client_that_has_sent_all_still_gets_a_late_answer(tmp_path):
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        ServerSocket(tmp_path / "s", f"http://127.0.0.1:{server.getsockname()[1]}") as way,
        socket.socket(socket.AF_UNIX) as client,
    ):
        client.settimeout(10)
        client.connect(str(way.path))
        client.sendall(b"question")
        client.shutdown(socket.SHUT_WR)
        connection, _ = server.accept()
        with connection:
            assert connection.makefile("rb").read() == b"question"  # up to the end that the client has sent
            for _ in range(20):  # the relay's thread needs a moment to see that end too
                time.sleep(0.01)
                gc.collect()  # frees what nothing but itself refers to
            connection.sendall(b"answer")
        assert client.makefile("rb").read() == b"answer"
