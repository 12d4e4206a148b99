"""`swarmscope overlay`: the streaming overlay whose viewers the pipeline measures. Only what plans trees imports networkx."""

from cyclopts import App

from swarmscope.commands import examples

command = App(
    name="overlay",
    help_epilogue=examples(
        "swarmscope overlay check topology.json --source 10.0.0.10 --player 10.0.4.20",
        "swarmscope overlay check topology.json --tree steiner --svg topology.svg",
        "swarmscope overlay bootstrapper topology.json --secret secret --listen 10.0.0.10:7000",
        "swarmscope overlay key 10.0.1.2 --secret secret > 10.0.1.2.key",
        "swarmscope overlay node 10.0.1.2 --key 10.0.1.2.key --bootstrapper 10.0.0.10:7000",
        "swarmscope overlay play 10.0.3.20 --stream news --key 10.0.3.20.key \\\n    --bootstrapper 10.0.0.10:7000",
    ),
)
SUBCOMMANDS = {
    "check": "overlay_check:check",
    "bootstrapper": "overlay_planning:bootstrapper",
    "key": "overlay_running:key",
    "node": "overlay_running:node",
    "source": "overlay_running:source",
    "play": "overlay_running:play",
}
for name, place in SUBCOMMANDS.items():
    command.command(f"swarmscope.commands.{place}", name=name)
