"""`swarmscope` and `python -m swarmscope`."""

import os
import signal
import sys

from swarmscope.commands import end_over, refuse
from swarmscope.streams import print_everywhere


def main() -> None:
    """Run the command that the arguments name; Ctrl-C where nobody waits for it, in the first second say, shows no traceback."""
    print_everywhere()
    try:
        _main()
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)  # whoever started us learns that it was the signal


def _main() -> None:
    try:
        from swarmscope.cli import app
    except ModuleNotFoundError as missing:
        sys.exit(
            f"The swarmscope command needs {missing.name}: pip install 'swarmscope[all]'. The SDK (endhost_sdk) works without it."
        )
    try:
        command, bound, _ = app.parse_args()
    except (ValueError, OSError) as wrong:
        # The settings refused a value, or their file cannot be read; nothing else runs while arguments are parsed, so a mistake
        # of ours keeps its traceback.
        refuse(wrong)
    try:
        code = command(*bound.args, **bound.kwargs)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever reads our output has seen enough. Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as refused:
        end_over(refused)  # a file, a port or a disk: no mistake of ours
    sys.exit(code)


if __name__ == "__main__":
    main()
