"""`python -m netlab` prints what the kernel offers and which labs run; `python -m netlab end RUN` ends one."""

import sys
from dataclasses import fields

from netlab.keeper import end_run, runs
from netlab.offer import Offer, probe

USAGE = """usage: python -m netlab
       python -m netlab end RUN

Without arguments, print which parts of the kernel a lab can use, and the running labs.
end RUN: kill the processes of the lab with the id RUN.
"""


def main(arguments: list[str]) -> int:
    """The exit code."""
    if arguments[:1] == ["end"] and len(arguments) == 2:
        ended = end_run(arguments[1])
        sys.stdout.write(f"{ended} processes killed\n" if ended else f"no process belongs to run {arguments[1]}\n")
        return 0 if ended else 1
    if arguments in (["--help"], ["-h"]):
        sys.stdout.write(USAGE)
        return 0
    if arguments:
        sys.stderr.write(USAGE)
        return 2
    offer = probe()
    for part in fields(Offer):
        sys.stdout.write(f"{part.name:16}{getattr(offer, part.name) or 'offered'}\n")
    for run, processes in runs().items():
        sys.stdout.write(f"run {run}: {len(processes)} processes\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
