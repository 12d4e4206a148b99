"""The dashboard under a path of a reverse proxy, with the configurations of docs/reverse-proxy.md and the programs themselves."""

import json
import os
import re
import shutil
import ssl
import subprocess
from pathlib import Path
from urllib.request import urlopen

import pytest

from tests.harness.browser import BROWSER_DEADLINE_MS, wait_until_drawn
from tests.harness.ports import free_port
from tests.harness.waiting import eventually
from tests.monitor_platform.access.conftest import NAME, PASSWORD

DOCS = Path(__file__).parents[3] / "docs" / "reverse-proxy.md"
PROGRAMS = {"nginx": "nginx", "caddyfile": "caddy", "haproxy": "haproxy"}
AROUND = {
    "nginx": (
        "daemon off; master_process off; pid nginx.pid; error_log stderr; events {{}}\n"
        "http {{ access_log off; client_body_temp_path t1; proxy_temp_path t2; fastcgi_temp_path t3; uwsgi_temp_path t4; "
        "scgi_temp_path t5;\n{site}\n}}"
    ),
    "caddyfile": "{{\n admin off\n auto_https off\n}}\n{site}",
    "haproxy": "{site}",
}
"""What a test adds around a documented configuration: files in its own folder, and no privileges."""

COMMANDS = {
    "nginx": ("-p", ".", "-c", "{file}"),
    "caddyfile": ("run", "--adapter", "caddyfile", "--config", "{file}"),
    "haproxy": ("-db", "-f", "{file}"),
}


def documented(name: str, *, port: int, monitor_port: int, folder: Path) -> str:
    """The configuration for `name` in the documentation, with the ports and certificate of the test."""
    [block] = re.findall(rf"```{name}\n(.*?)```", DOCS.read_text(), re.DOTALL)
    replaced = {
        "127.0.0.1:8070": f"127.0.0.1:{monitor_port}",
        "listen 443 ssl;": f"listen 127.0.0.1:{port} ssl;",
        "bind :443 ": f"bind 127.0.0.1:{port} ",
        "example.org {": f"https://127.0.0.1:{port} {{\n tls {folder}/example.org.pem {folder}/example.org.key",
        "/etc/ssl/": f"{folder}/",
    }
    for old, new in replaced.items():
        block = block.replace(old, new)
    return AROUND[name].format(site=block)


@pytest.fixture
def published(start, user_path, authority, tmp_path):
    """`published(name)`: the address of a dashboard with users, under /swarmscope of that proxy."""
    running = []

    def publish(name: str) -> str:
        program = shutil.which(PROGRAMS[name], path=f"{os.environ['PATH']}:/usr/sbin")
        if program is None:
            pytest.skip(f"{PROGRAMS[name]} is not installed")
        certificate = authority.issue_cert("127.0.0.1")
        certificate.private_key_and_cert_chain_pem.write_to_path(tmp_path / "example.org.pem")
        certificate.private_key_pem.write_to_path(tmp_path / "example.org.key")
        authority.cert_pem.write_to_path(tmp_path / "authority.pem")
        port = free_port()
        public = f"https://127.0.0.1:{port}/swarmscope"
        monitor = start("--users", str(user_path), "--behind-proxy", public, "--trusted-proxy", "127.0.0.1")
        file = tmp_path / "proxy.conf"
        file.write_text(documented(name, port=port, monitor_port=monitor.port, folder=tmp_path))
        command = [program, *(part.format(file=file) for part in COMMANDS[name])]
        with (tmp_path / "proxy.log").open("w") as log:
            home = os.environ | {"HOME": str(tmp_path)}
            running.append(subprocess.Popen(command, cwd=tmp_path, stdout=log, stderr=log, env=home))
        eventually(lambda: answers(f"{public}/healthz", tmp_path), within_s=60)
        return public

    yield publish
    for process in running:
        process.terminate()
        process.wait(30)


def answers(address: str, folder: Path) -> bool:
    try:
        with urlopen(address, timeout=10, context=ssl.create_default_context(cafile=str(folder / "authority.pem"))) as answer:
            return answer.read() == b"ok\n"
    except OSError:
        return False


@pytest.mark.browser
@pytest.mark.parametrize(
    "name", ["nginx", pytest.param("caddyfile", marks=pytest.mark.soak), pytest.param("haproxy", marks=pytest.mark.soak)]
)
def test_pages_login_websocket_links_and_exports_work_under_the_path_of_a_proxy(browser, published, name):
    public = published(name)
    context = browser.new_context(ignore_https_errors=True)
    try:
        page = context.new_page()
        page.set_default_timeout(BROWSER_DEADLINE_MS)
        asked, wrong = [], []
        page.on("request", lambda request: asked.append(request.url))
        page.on("websocket", lambda socket: asked.append(socket.url.replace("wss://", "https://")))
        page.on("console", lambda line: wrong.append(line.text) if line.type in {"error", "warning"} else None)
        page.goto(f"{public}?measure=continuity")
        page.fill("input[name=name]", NAME)
        page.fill("input[name=password]", PASSWORD)
        page.click("button")
        page.wait_for_url(f"{public}/?measure=continuity")
        wait_until_drawn(page)  # needs the websocket
        assert context.cookies()[0]["path"] == "/swarmscope/"
        assert context.cookies()[0]["name"].startswith("__Secure-")
        links = page.eval_on_selector_all("a[href]", "all => all.map((each) => each.href)")
        assert [link for link in links if link.startswith("https://127") and not link.startswith(f"{public}/")] == []
        table = page.locator("a[data-csv=timeline]").evaluate("link => fetch(link.href).then((answer) => answer.text())")
        assert "Time (UTC)" in table.splitlines()[0]
        summary = page.evaluate("fetch('api/v1/summary').then((answer) => answer.json())")
        assert summary["peers"] == 60
        described = json.loads(page.evaluate("fetch('openapi.json').then((answer) => answer.text())"))
        assert described["servers"] == [{"url": "/swarmscope"}]
        page.click("nav a:has-text('Sessions')")
        page.wait_for_url(f"{public}/sessions?measure=continuity")
        wait_until_drawn(page)
        page.click("text=Log out")
        page.wait_for_url(f"{public}/login")
        assert [address for address in asked if not address.startswith((f"{public}/", f"{public}?", "data:"))] == []
        assert wrong == []
    finally:
        context.close()
