"""`swarmscope` and `python -m swarmscope`."""

import os
import signal
import sys
from importlib.metadata import PackageNotFoundError, version

from serving.memory import end_without_memory, is_no_memory
from swarmscope.commands import exit_on, exit_on_usage_error
from swarmscope.streams import print_everywhere

OURS = (
    "swarmscope",
    "overlay",
    "netlab",
    "endhost_sdk",
    "coordinator",
    "feedback_server",
    "monitor_platform",
    "feedback_analysis",
    "serving",
    "feedback_wire",
)


def main() -> None:
    """Run the command that the arguments name; Ctrl-C where nobody waits for it, in the first second say, shows no traceback."""
    print_everywhere()
    if os.getpid() == 1:
        _end_on_request()
    try:
        _main()
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)  # whoever started us learns that it was the signal
        sys.exit(128 + signal.SIGINT)  # the first process of a container has survived it
    except ImportError as error:
        missing = _missing_package(error)
        if missing is not None:
            sys.exit(_what_to_install(missing))
        if not is_no_memory(error):
            raise  # a mistake of ours keeps its traceback
        end_without_memory(error, "swarmscope")
    except Exception as error:
        if not is_no_memory(error):
            raise
        end_without_memory(error, "swarmscope")


def _end_on_request() -> None:
    """The kernel keeps from the first process of a container every signal that it has no handler for.

    Servers replace these handlers by their own.
    """
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _frame: sys.exit(128 + number))


def _missing_package(error: BaseException | None) -> str | None:
    """The package of others whose absence `error`, or what it was raised over, tells of."""
    while error is not None:
        if isinstance(error, ModuleNotFoundError) and error.name:
            name = error.name.partition(".")[0]
            return None if name in OURS else name
        error = error.__cause__ or error.__context__
    return None


def _what_to_install(missing: str) -> str:
    try:
        ours = version("swarmscope")
    except PackageNotFoundError:  # run from a checkout that was never installed
        ours = "VERSION"
    return (
        f"swarmscope: this command needs the package {missing}, which is not installed. Install Swarmscope with all that its "
        "commands need: run 'make wheel' in a checkout of Swarmscope, and there\n"
        f"    {sys.executable} -m pip install 'dist/swarmscope-{ours}-py3-none-any.whl[all]'\n"
        "The SDK (endhost_sdk) needs nothing else."
    )


def _main() -> None:
    from swarmscope.cli import app

    try:
        command, bound, _ = app.parse_args()
    except (ValueError, OSError) as wrong:
        # The settings refused a value, or their file cannot be read; nothing else runs while arguments are parsed, so a mistake
        # of ours keeps its traceback.
        exit_on_usage_error(wrong)
    try:
        code = command(*bound.args, **bound.kwargs)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever reads our output has seen enough. Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as refused:
        exit_on(refused)  # a file, a port or a disk: no mistake of ours
    sys.exit(code)


if __name__ == "__main__":
    main()
