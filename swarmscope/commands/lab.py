"""`swarmscope lab`: trainings of the QoE lab. The functions are imported when they are called; each module needs other packages."""

from cyclopts import App

from swarmscope.commands import examples
from swarmscope.commands.overlay import Subcommand

command = App(
    name="lab",
    help_epilogue=examples(
        "swarmscope lab run --sessions 12 --limits 0.5,1,3 --seconds 20",
        "swarmscope lab list",
        "swarmscope lab show trainings/NAME",
    ),
)

SUBCOMMANDS = {
    "run": Subcommand(
        function="lab_running:run",
        help="""Run a new training, and export its data set.

            The sessions are divided into blocks. A block has one session for each limit, in random order; the last block may be
            incomplete. Ctrl-C pauses the training. The exit code is 0 if the training finished, and 1 if it was paused, cancelled
            or failed.""",
        example=(
            "swarmscope lab run --sessions 12 --limits 0.5,1,3 --seconds 20\n"
            "swarmscope lab run --name evening --sessions 120 --limits 0.25,1,2 --seconds 60 \\\n"
            "    --source dash --client dash.js --trace norway3g-a"
        ),
    ),
    "resume": Subcommand(
        function="lab_running:resume",
        help="""Continue a training that was paused or has crashed, and export its data set.

            Captured sessions are kept. Sessions that were running are played again. The exit codes are those of `run`.""",
        example="swarmscope lab resume evening",
    ),
    "list": Subcommand(
        function="lab_listing:list_trainings",
        help="""List the trainings with their progress.""",
        example="swarmscope lab list",
    ),
    "show": Subcommand(
        function="lab_listing:show",
        help="""Show the settings and sessions of a training, and why sessions were discarded.""",
        example="swarmscope lab show evening\nswarmscope lab show evening --json",
    ),
    "pause": Subcommand(
        function="lab_requests:pause",
        help="""Pause a training that another process runs.

            Its running sessions end, and are played again when the training is resumed.""",
        example="swarmscope lab pause evening",
    ),
    "cancel": Subcommand(
        function="lab_requests:cancel",
        help="""Cancel a training permanently. Its captured sessions remain, and can be exported.""",
        example="swarmscope lab cancel evening",
    ),
    "export": Subcommand(
        function="lab_exporting:export",
        help="""Export the data set of a training again, from what its sessions recorded.""",
        example="swarmscope lab export evening",
    ),
    "import": Subcommand(
        function="lab_importing:import_file",
        help="""Correct the column names of a CSV file of the label manager, an earlier program.

            In these files, the columns of 12 of 22 TCP statistics have the name of another statistic. The command refuses a file
            whose names are right.""",
        example="swarmscope lab import input_dataset_11758_sessions.csv --into right-names.csv",
    ),
    "serve": Subcommand(
        function="lab_serving:serve",
        help="""Serve trainings over HTTP: list, start, pause, resume and cancel them.

            The page *Trainings* of the dashboard uses this server. It needs --token. For a trial on one machine, use --insecure
            instead.""",
        example=(
            "swarmscope lab serve --insecure\n"
            "SWARMSCOPE_LAB_SERVE_TOKEN=$(cat lab.token) swarmscope lab serve --data /srv/trainings"
        ),
    ),
    "fit": Subcommand(
        function="lab_fitting:fit",
        help="""Fit models that infer the quality from the traffic, and report how good they are.

            The command fits six families of models to five tasks, and judges them on sessions that they were not fitted to. Three
            families are baselines for comparison. For each task, the command stores the best of the other three. The
            report (report.html) shows the scores with intervals, the confusion matrices, and warnings about good scores that come
            from a mistake (leak alarms). The exit code is 1 if no task has enough sessions.""",
        example="swarmscope lab fit trainings/first\nswarmscope lab fit trainings/first trainings/second --out models/both",
    ),
    "score": Subcommand(
        function="lab_scoring:score",
        help="""Infer from packets what viewers experience, second by second.

            For each client that receives at least 100 kB, the command infers whether playback is stalled, the height of the
            picture, the startup time and the MOS. The startup time and the MOS have a band: a range that is expected to contain the
            true value in nine of ten sessions. The exit code is 1 if no client receives that much, or if the coordinator
            refuses an inference.""",
        example=(
            "swarmscope lab score capture.pcap --model trainings/first/model\n"
            "swarmscope lab score --live eth0 --model trainings/first/model \\\n"
            "    --coordinator https://coordinator.example --key KEY"
        ),
    ),
}
for name, each in SUBCOMMANDS.items():
    command.command(
        f"swarmscope.commands.{each.function}", name=name, help=each.help, help_epilogue=examples(*each.example.splitlines())
    )
