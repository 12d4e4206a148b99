"""The demo's components: command line and environment of each. Keys are in the environment, because `ps` shows command lines."""

import os
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from swarmscope.demo.settings import Settings

ALERTS = Path(__file__).with_name("alerts.toml")
"""The alert rules. The monitor uses a copy in the data folder, so that users can change it."""

COORDINATOR_PORT = 8080
FEEDBACK_PORTS = (8091, 8092)
MONITOR_PORT = 8070
MASTER_PORT = 8060


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """One process of the demo. Its command is `swarmscope` with `arguments`, and with --listen if it has a `port`."""

    name: str
    arguments: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    port: int | None = None
    """The default port of a server; None if the component is not a server."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoKeys:
    """Random secrets of one demo."""

    ingest: str = field(default_factory=secrets.token_urlsafe, repr=False)
    token: str = field(default_factory=secrets.token_urlsafe, repr=False)
    read: str = field(default_factory=secrets.token_urlsafe, repr=False)
    metrics: str = field(default_factory=secrets.token_urlsafe, repr=False)


def feedback_server(number: int, keys: DemoKeys, data: Path) -> Component:
    """The feedback server with this number, 1 or 2."""
    name = f"fs{number}"
    return Component(
        name=f"feedback server {name}",
        arguments=("feedback-server", "--name", name, "--data", str(data / name)),
        environment={
            "SWARMSCOPE_FEEDBACK_SERVER_TOKEN": keys.token,
            "SWARMSCOPE_FEEDBACK_SERVER_READ_TOKEN": keys.read,
            "SWARMSCOPE_FEEDBACK_SERVER_METRICS_TOKEN": keys.metrics,
        },
        port=FEEDBACK_PORTS[number - 1],
    )


def coordinator(feedback_urls: Sequence[str], keys: DemoKeys, data: Path) -> Component:
    # The coordinator trusts the audience as a proxy, so it records the simulated addresses in Hong Kong.
    flags = ("--spool", str(data / "spool"), "--trusted-proxy", "127.0.0.1/32")
    return Component(
        name="coordinator",
        arguments=("coordinator", *flags, *_feedback_servers(feedback_urls)),
        environment={
            "SWARMSCOPE_COORDINATOR_KEY": keys.ingest,
            "SWARMSCOPE_COORDINATOR_TOKEN": keys.token,
            "SWARMSCOPE_COORDINATOR_METRICS_TOKEN": keys.metrics,
        },
        port=COORDINATOR_PORT,
    )


def monitor(feedback_urls: Sequence[str], keys: DemoKeys, data: Path, settings: Settings, master_url: str = "") -> Component:
    pace = ("--poll-seconds", f"{settings.poll_seconds:g}", "--period", f"{settings.period:g}")
    return Component(
        name="monitor",
        arguments=(
            "monitor", "--mirror", str(data / "mirror"), *pace, *_feedback_servers(feedback_urls),
            "--history", str(data / "history"), "--alerts", str(data / ALERTS.name),
            *(("--measurement-master", master_url) if master_url else ()),
        ),
        environment={"SWARMSCOPE_MONITOR_READ_TOKEN": keys.read},
        port=MONITOR_PORT,
    )  # fmt: skip


def measurement_master(coordinator_url: str, keys: DemoKeys, data: Path) -> Component:
    """It measures the addresses of the lab, and every client is a manager. The ingest key is in a file that only we can read."""
    file = data / "master.key"
    file.touch(mode=0o600)
    file.write_text(keys.ingest, encoding="ascii")
    sending = ("--coordinator", coordinator_url, "--ingest-key", str(file))
    return Component(
        name="measurement master",
        arguments=("measurement-master", "--insecure", "--allow-network", "10.0.0.0/8", "--data", str(data / "master"), *sending),
        port=MASTER_PORT,
    )


def audience(coordinator_url: str, keys: DemoKeys, settings: Settings) -> Component:
    crowd = ("--peers", str(settings.peers), "--period", f"{settings.period:g}", "--flash-crowd")
    return Component(
        name="audience",
        arguments=("simulate", "--coordinator", coordinator_url, *crowd),
        environment={"SWARMSCOPE_SIMULATE_KEY": keys.ingest},
    )


def environment(component: Component) -> dict[str, str]:
    """The environment of a component: that of this process without settings for real servers, which must not change the demo."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SWARMSCOPE_")}
    return {**kept, "SWARMSCOPE_CONFIG": os.devnull, **component.environment}


def _feedback_servers(urls: Sequence[str]) -> tuple[str, ...]:
    return tuple(word for url in urls for word in ("--feedback-server", url))
