"""``iontherm why``: the deepest failure of a run, the tail of its log, and what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from aiida_iontherm.cli.common import load_profile, load_run, profile_option, user_errors
from aiida_iontherm.cli.remedies import REMEDIES, clue, remedy

__all__ = ["REMEDIES", "failures", "why"]

LOG_LINES = 12


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
        for paused in paused_jobs(node):
            _say_paused(paused)
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
    words = "\n".join([*log, deepest.exit_message or ""])
    click.echo("\n" + (remedy(deepest.process_label, deepest.exit_status, words) or _default_remedy(deepest)))


def paused_jobs(node: Any) -> list[Any]:
    """Return the processes below a run that AiiDA has paused: it does so when a step of a job fails five times."""
    return [process for process in [node, *node.called_descendants] if getattr(process, "paused", False)]


def _say_paused(node: Any) -> None:
    """Tell why a process waits, and how it goes on; nothing is lost while it does."""
    words = log_lines(node)
    click.echo(f"\n{node.process_label} <{node.pk}> is paused: {node.process_status or 'it was asked to'}")
    for line in words[-LOG_LINES:]:
        click.echo("  | " + line)
    meaning = clue("\n".join(words))
    if meaning is not None:
        click.echo(meaning)
    click.echo(
        f"When the cause is mended: `verdi process play {node.pk}`. To give it up: `verdi process kill {node.pk}`."
    )


def log_lines(node: Any) -> list[str]:
    """Return what was logged about a process."""
    from aiida.orm import Log

    return [line for log in Log.collection.get_logs_for(node) for line in log.message.strip().splitlines()]


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
    from aiida.orm import CalcJobNode

    if isinstance(node, CalcJobNode):
        text = node.get_scheduler_stderr() or ""
        folder = node.get_remote_workdir()
        if not text and folder and (Path(folder) / "_scheduler-stderr.txt").is_file():
            text = (Path(folder) / "_scheduler-stderr.txt").read_text(encoding="utf-8", errors="replace")
        if text:
            return text.strip().splitlines()[-LOG_LINES:]
    return log_lines(node)[-LOG_LINES:]


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
