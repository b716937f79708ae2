"""``iontherm-task``: run one task in the current directory. Imports nothing heavy before it knows which."""

from __future__ import annotations

import argparse
import sys

from aiida_iontherm import __version__
from aiida_iontherm.tasks.registry import TASKS


def main(arguments: list[str] | None = None) -> int:
    """Run the task named on the command line and return its exit code."""
    lines = "\n".join(f"  {name:22s} {summary}" for name, (_, summary) in TASKS.items())
    parser = argparse.ArgumentParser(
        prog="iontherm-task",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Run one step of an ion and heat transport study in the current directory: reads input.json and "
        "the files it names, writes output.json, progress.jsonl and checkpoint.npz.",
        epilog=f"tasks:\n{lines}\n\nexit codes: 0 finished, 2 bad input, 3 interrupted (run again to go on), "
        "4 disk full, 5 the physics failed, 1 anything else",
    )
    parser.add_argument("name", choices=TASKS, metavar="NAME", help="which task")
    parser.add_argument("--version", action="version", version=__version__)
    options = parser.parse_args(arguments)

    from aiida_iontherm.tasks.contract import run_task

    return run_task(options.name, TASKS[options.name][0])


if __name__ == "__main__":
    sys.exit(main())
