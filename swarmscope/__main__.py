"""The entry point of `swarmscope` and `python -m swarmscope`."""

import os
import signal
import sys

from serving.address_space import require_base
from serving.memory import end_without_memory, is_no_memory
from swarmscope.commands import exit_on, exit_on_usage_error
from swarmscope.output.encoding import print_everywhere

PACKAGES = (
    "swarmscope",
    "overlay",
    "measurement",
    "qoe_lab",
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
    """Run the command in the arguments. Ctrl-C never shows a traceback, not even during the imports of the first second."""
    print_everywhere()
    if os.getpid() == 1:
        _end_on_request()
    try:
        require_base()
        _main()
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)  # the parent process sees that a signal ended this process
        sys.exit(128 + signal.SIGINT)  # only reached by the first process of a container, which the signal does not end
    except ImportError as error:
        missing = _missing_package(error)
        if missing is not None:
            sys.exit(_install_advice(missing))
        if not is_no_memory(error):
            raise  # a bug keeps its traceback
        end_without_memory(error, "swarmscope")
    except Exception as error:
        if not is_no_memory(error):
            raise
        end_without_memory(error, "swarmscope")


def _end_on_request() -> None:
    """End on SIGTERM and SIGHUP. The kernel ignores signals without a handler for the first process of a container.

    Servers replace these handlers.
    """
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _frame: sys.exit(128 + number))


def _missing_package(error: BaseException | None) -> str | None:
    """The third-party package whose import failed with `error` or with one of its causes; None if there is none."""
    while error is not None:
        if isinstance(error, ModuleNotFoundError) and error.name:
            name = error.name.partition(".")[0]
            return None if name in PACKAGES else name
        error = error.__cause__ or error.__context__
    return None


def _install_advice(missing: str) -> str:
    from importlib.metadata import PackageNotFoundError, version  # many modules, before the limit of address space is checked

    try:
        ours = version("swarmscope")
    except PackageNotFoundError:  # runs from a checkout without an installation
        ours = "VERSION"
    return (
        f"swarmscope: this command needs the package {missing}, which is not installed. To install all packages that the commands "
        "need, run 'make wheel' in a checkout of Swarmscope, and then\n"
        f"    {sys.executable} -m pip install 'dist/swarmscope-{ours}-py3-none-any.whl[all]'\n"
        "The SDK (endhost_sdk) needs no other packages."
    )


def _main() -> None:
    from swarmscope.cli import app

    try:
        # Cyclopts takes "-" for an option, so it becomes the path of standard input.
        command, bound, _ = app.parse_args(["/dev/stdin" if given == "-" else given for given in sys.argv[1:]])
    except (ValueError, OSError) as error:
        # A setting has an invalid value, or the settings file is unreadable. Nothing else runs while arguments are parsed, so other
        # bugs keep their traceback.
        if is_no_memory(error):
            raise
        exit_on_usage_error(error)
    try:
        code = command(*bound.args, **bound.kwargs)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader of standard output has closed it. Without this, Python reports the same error again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        if is_no_memory(error):
            raise
        exit_on(error)  # a file, port or disk, not a bug
    sys.exit(code)


if __name__ == "__main__":
    main()
