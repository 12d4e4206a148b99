"""`swarmscope overlay`: the streaming overlay whose viewers the pipeline measures. Only what plans trees imports networkx."""

from dataclasses import dataclass

from cyclopts import App

from swarmscope.commands import examples

command = App(
    name="overlay",
    help_epilogue=examples(
        "head -c 32 /dev/urandom | base64 > overlay.secret",
        "swarmscope overlay bootstrapper topology.json --secret overlay.secret \\\n    --listen 10.0.0.10:7000",
        "swarmscope overlay key 10.0.1.2 --secret overlay.secret > 10.0.1.2.key",
        "swarmscope overlay node 10.0.1.2 --key 10.0.1.2.key \\\n    --bootstrapper 10.0.0.10:7000 --host 10.0.1.2",
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subcommand:
    """A subcommand. Its function is imported when it is called, so its help is here: the first line for the list of commands."""

    function: str
    help: str
    example: str


SUBCOMMANDS = {
    "check": Subcommand(
        function="overlay_check:check",
        help="""Check a topology file and draw it.

            The command prints the nodes with their links, and the tree of each stream. The exit code is 2 if the file is invalid,
            and 1 if a tree does not reach all players.""",
        example=(
            "swarmscope overlay check topology.json --tree steiner --svg topology.svg\n"
            "swarmscope overlay check topology.json --source 10.0.0.10 \\\n    --player 10.0.4.20 --player 10.0.3.20"
        ),
    ),
    "bootstrapper": Subcommand(
        function="overlay_planning:bootstrapper",
        help="""Admit nodes, send them their neighbours, and plan the trees.

            The bootstrapper prints its address when it is ready. Ctrl-C or SIGTERM stops it. Before it exits, it prints its
            counters as JSON.""",
        example=(
            "head -c 32 /dev/urandom | base64 > overlay.secret\n"
            "swarmscope overlay bootstrapper topology.json --secret overlay.secret \\\n    --listen 10.0.0.10:7000"
        ),
    ),
    "key": Subcommand(
        function="overlay_running:key",
        help="""Print the key with which a node joins the overlay.

            Write the key to a file. The commands node, source, play and list read this file (--key).""",
        example="swarmscope overlay key 10.0.1.2 --secret overlay.secret > 10.0.1.2.key",
    ),
    "node": Subcommand(
        function="overlay_running:node",
        help="""Run a relay, which forwards streams.

            The relay prints a line when it has joined the overlay. With --coordinator, it reports its upload. Ctrl-C or SIGTERM
            stops it. Before it exits, it prints its counters as JSON.""",
        example="swarmscope overlay node 10.0.1.2 --key 10.0.1.2.key \\\n    --bootstrapper 10.0.0.10:7000 --host 10.0.1.2",
    ),
    "source": Subcommand(
        function="overlay_running:source",
        help="""Run a source, where a stream begins.

            The stream is MPEG-TS in RTP, at a constant rate: media files that are repeated (--file), or test packets. The source
            prints a line when it has joined the overlay. After that, it prints the path to each player every second. Ctrl-C or
            SIGTERM stops it. Before it exits, it prints its counters as JSON.""",
        example=(
            "swarmscope overlay source 10.0.0.20 --stream news --key 10.0.0.20.key \\\n"
            "    --bootstrapper 10.0.0.10:7000 --host 10.0.0.20 \\\n    --file film.mp4 --file trailer.mp4 --rate-kbps 4000"
        ),
    ),
    "list": Subcommand(
        function="overlay_listing:list_offers",
        help="""List the streams, and the files that players can choose.

            The command prints one JSON line per stream: its name, its source, and the names of its files for play --file. It needs
            the name and the key of a node. This node may be running at the same time.""",
        example="swarmscope overlay list 10.0.3.20 --key 10.0.3.20.key \\\n    --bootstrapper 10.0.0.10:7000",
    ),
    "play": Subcommand(
        function="overlay_playing:play",
        help="""Run a player, which receives streams.

            The player shows no video itself; it sends what it plays to another program (--rtp). Every second, it prints one JSON
            line per stream with what it has received and played so far. With --coordinator, it reports as an end host. SIGUSR1
            pauses the player, and a second SIGUSR1 lets it play again. Ctrl-C or SIGTERM stops it. Before it exits, it prints its
            counters as JSON.""",
        example=(
            "swarmscope overlay play 10.0.3.20 --stream news --key 10.0.3.20.key \\\n"
            "    --bootstrapper 10.0.0.10:7000 --host 10.0.3.20 --file trailer.mp4\n"
            "swarmscope overlay play 10.0.3.20 --stream news --key 10.0.3.20.key \\\n"
            "    --bootstrapper 10.0.0.10:7000 --host 10.0.3.20 \\\n"
            "    --coordinator https://coordinator.example --ingest-key ingest.key"
        ),
    ),
}
for name, each in SUBCOMMANDS.items():
    command.command(
        f"swarmscope.commands.{each.function}", name=name, help=each.help, help_epilogue=examples(*each.example.splitlines())
    )
