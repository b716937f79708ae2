"""Run a task in a folder from a command: progress shown, Ctrl-C heeded, finished runs taken as they are."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import click

from aiida_iontherm.cli.common import UserError

INTERVAL = 0.5
QUIET_SECONDS = 15.0
"""Without a terminal the state is printed at most this often."""


def run_in_folder(task: str, folder: Path, result: str) -> dict[str, Any]:
    """Run a task whose input lies in the folder and return its results; those of a finished run are read.

    A run is taken as finished if the file of its result is still there.

    Raises
    ------
    UserError
        If the task does not finish; its message says why.
    """
    output = folder / "output.json"
    if output.exists() and (folder / result).exists():
        record = json.loads(output.read_text(encoding="utf-8"))
        if record["exit_code"] == 0:
            return record["results"]
    process = subprocess.Popen(  # noqa: S603 - this interpreter, and a task by a name of ours
        [sys.executable, "-m", "aiida_iontherm.tasks.cli", task],
        cwd=folder,
        stderr=subprocess.DEVNULL,
        # Ctrl-C belongs to this process, which asks the task to write its checkpoint.
        start_new_session=True,
    )
    try:
        _follow(process, folder)
    except KeyboardInterrupt:
        process.send_signal(signal.SIGTERM)
        click.echo("\nstopping after the step that is being computed ...", err=True)
        process.wait()
    if not output.exists():
        raise UserError(f"the task ended without a word: run `iontherm-task {task}` in {folder}")
    record = json.loads(output.read_text(encoding="utf-8"))
    if record["exit_code"] != 0:
        raise UserError(record["message"])
    return record["results"]


def _follow(process: subprocess.Popen[bytes], folder: Path) -> None:
    from aiida_iontherm.cli.progress import in_words, last_line, width

    interactive = sys.stderr.isatty()
    printed, said = time.monotonic(), ""
    while process.poll() is None:
        time.sleep(INTERVAL)
        progress = last_line(folder / "progress.jsonl")
        line = in_words(progress) if progress else ""
        if interactive:
            click.echo("\r\x1b[K" + line[: width()], nl=False, err=True)
        elif line != said and time.monotonic() - printed > QUIET_SECONDS:
            click.echo(line, err=True)
            printed, said = time.monotonic(), line
    if interactive:
        click.echo("\r\x1b[K", nl=False, err=True)
