"""``iontherm why``: the deepest failure of a run, the tail of its log, and what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from aiida_iontherm.cli.common import load_profile, load_run, profile_option, user_errors

LOG_LINES = 12

REMEDIES = {
    210: "Correct the setting the message names and run again; steps that are done come from the cache.",
    300: "The job vanished. Look for an out-of-memory killer or a full disk, then run again.",
    310: "The time limit was reached. Give more wall time, or run again: it goes on from the checkpoint.",
    320: "Free disk space (`verdi node delete`, `verdi storage maintain`, the scratch folder), then run again.",
    330: "This is a bug or a broken installation: keep the log above when you report it.",
    340: "The job wrote an incomplete file. Check the disk and run again.",
    500: "The physics failed. Follow the message: more data, a lower temperature, another engine or structure.",
    700: "The results that are there are valid. The message says why the others are missing.",
}


@click.command()
@click.argument("process")
@profile_option
@user_errors
def why(process: str, profile_name: str | None) -> None:
    """Explain why the run PROCESS (pk or uuid) failed."""
    load_profile(profile_name)
    node = load_run(process)
    if not node.is_terminated:
        click.echo(f"{node.process_label} <{node.pk}> is still {node.process_state.value}: `iontherm watch {node.pk}`")
        return
    chain = failures(node)
    if not chain:
        click.echo(f"{node.process_label} <{node.pk}> finished well.")
        return
    for depth, failed in enumerate(chain):
        click.echo("  " * depth + f"{failed.process_label} <{failed.pk}>: {_outcome(failed)}")
    deepest = chain[-1]
    log = tail(deepest)
    if log:
        click.echo(f"\nLast lines of <{deepest.pk}>:")
        for line in log:
            click.echo("  | " + line)
    click.echo("\n" + REMEDIES.get(deepest.exit_status or 0, _default_remedy(deepest)))


def failures(node: Any) -> list[Any]:
    """Return the failed processes from a run down to the deepest one, following the last failed child each time."""
    if node.is_finished_ok:
        return []
    chain = [node]
    while True:
        failed = [
            child for child in getattr(chain[-1], "called", []) if child.is_terminated and not child.is_finished_ok
        ]
        if not failed:
            return chain
        chain.append(max(failed, key=lambda child: child.pk))


def tail(node: Any) -> list[str]:
    """Last lines of the standard error of a job, or of the report of a work chain."""
    from aiida.orm import CalcJobNode, Log

    if isinstance(node, CalcJobNode):
        text = node.get_scheduler_stderr() or ""
        folder = node.get_remote_workdir()
        if not text and folder and (Path(folder) / "_scheduler-stderr.txt").is_file():
            text = (Path(folder) / "_scheduler-stderr.txt").read_text(encoding="utf-8", errors="replace")
        if text:
            return text.strip().splitlines()[-LOG_LINES:]
    logs = Log.collection.get_logs_for(node)
    return [line for log in logs for line in log.message.strip().splitlines()][-LOG_LINES:]


def _outcome(node: Any) -> str:
    if node.is_finished:
        return f"[{node.exit_status}] {node.exit_message}"
    return node.process_state.value


def _default_remedy(node: Any) -> str:
    if node.is_killed:
        return "The process was killed. Run again: steps that are done come from the cache."
    if node.is_excepted:
        return "A Python exception ended it: this is a bug or a broken installation, keep the log when you report it."
    return f"`verdi process report {node.pk}` shows all that was logged."
