"""What a running work chain does now, in words: read from its processes and from the progress files of its jobs."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from aiida.orm import ProcessNode

    from aiida_iontherm.workchains.plan import Step

INTERVAL = 2.0
QUIET_SECONDS = 15.0
"""Without a terminal a line is printed when something begins or ends, and at least this often."""


class ProgressDisplay:
    """Prints the state of a run as it changes.

    Parameters
    ----------
    root : ProcessNode
        The run.
    plan : list of Step
        For the expected time.
    cores : int
        Cores of this machine.
    """

    def __init__(self, root: ProcessNode, plan: list[Step], cores: int) -> None:
        self._expected = sum(step.wall_seconds(cores) for step in plan)
        self._started = time.monotonic()
        self._tree = JobTree(root)
        self._running: dict[int, tuple[str, Any]] = {}
        self._last_line = 0.0
        self._interactive = sys.stdout.isatty()

    async def watch(self) -> None:
        """Refresh until cancelled; runs in the event loop of the work chain."""
        while True:
            self.refresh()
            await asyncio.sleep(INTERVAL)

    def refresh(self) -> None:
        """Print what is new."""
        lines = []
        for name, job in self._tree.new_jobs():
            lines.append(self._line(f"start {name}"))
            self._running[job.pk] = (name, job)
        for pk, (name, job) in list(self._running.items()):
            if job.is_terminated:
                del self._running[pk]
                lines.append(self._line(f"done  {name}: {_outcome(job)}"))
        now = [_now(name, job) for name, job in self._running.values()]
        status = self._line("  " + "; ".join(now))
        if self._interactive:
            click.echo("\r\x1b[K", nl=False)
        for line in lines:
            click.echo(line)
        if self._interactive:
            click.echo(status[: width()], nl=False)
        elif now and time.monotonic() - self._last_line > QUIET_SECONDS:
            click.echo(status)
            self._last_line = time.monotonic()
        if lines:
            self._last_line = time.monotonic()
        sys.stdout.flush()

    def close(self) -> None:
        """Print what ended since the last refresh and leave the line."""
        self.refresh()
        if self._interactive:
            click.echo("\r\x1b[K", nl=False)

    def _line(self, text: str) -> str:
        return f"[{clock(time.monotonic() - self._started)} of about {clock(self._expected)}] {text}"


ONE_JOB = ("relaxation", "sample", "label")
"""Call links of the one job with which an ASE calculator relaxes, samples or labels."""


class JobTree:
    """The calculation jobs below a process, found as they appear.

    Each look asks the database once for the children of the work chains that still run: a display must not cost more
    than what it shows.
    """

    def __init__(self, root: ProcessNode) -> None:
        self._names: dict[int, tuple[str, ...]] = {root.pk: ()}
        self._open = {root.pk: root}
        self._jobs: set[int] = set()

    def new_jobs(self) -> list[tuple[str, Any]]:
        """Return name and node of the jobs that were not there at the last look, in the order of their start."""
        from aiida.orm import CalcJobNode, QueryBuilder, WorkflowNode

        found: list[tuple[str, Any]] = []
        todo = list(self._open)
        while todo:
            query = QueryBuilder()
            query.append(WorkflowNode, filters={"id": {"in": todo}}, tag="parent", project=["id"])
            query.append(
                (WorkflowNode, CalcJobNode),
                with_incoming="parent",
                project=["*"],
                edge_project=["label"],
                edge_tag="call",
            )
            todo = []
            for parent, node, link in query.all():
                if node.pk in self._names:
                    continue
                # The restart layer calls its jobs iteration_01, which says nothing to the user; nor does it say much
                # that the one job of a relaxation is called relaxation.
                silent = link.startswith(("iteration_", "CALL")) or link in ONE_JOB
                own = () if silent else (link.replace("_", " "),)
                self._names[node.pk] = self._names[parent] + own
                if isinstance(node, CalcJobNode):
                    found.append((" > ".join(self._names[node.pk]) or node.process_label, node))
                else:
                    self._open[node.pk] = node
                    todo.append(node.pk)
        for pk, node in list(self._open.items()):
            if node.is_terminated:
                del self._open[pk]
        return sorted(found, key=lambda item: item[1].pk)


def last_progress(job: Any) -> dict[str, Any] | None:
    """Last complete line of the progress file of a job on this machine."""
    folder = job.get_remote_workdir()
    if folder is None or job.computer is None or job.computer.transport_type != "core.local":
        return None
    return last_line(Path(folder) / "progress.jsonl")


def last_line(path: Path) -> dict[str, Any] | None:
    """Last complete line of the progress file of a task, if there is one."""
    try:
        with path.open("rb") as stream:
            stream.seek(0, 2)
            stream.seek(max(0, stream.tell() - 2000))
            lines = stream.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return None
    for line in reversed(lines):
        try:
            return json.loads(line)
        except json.JSONDecodeError:
            continue
    return None


def _now(name: str, job: Any) -> str:
    progress = last_progress(job)
    if progress is None:
        state = job.get_state()
        return f"{name}: {state.value if state else 'waiting'}"
    return in_words(progress)


def in_words(progress: dict[str, Any]) -> str:
    """Say what a task does, how far it is and what is left, from a line of its progress file."""
    figures = ", ".join(f"{name} {value:.4g}" for name, value in progress["figures"].items())
    left = ""
    if progress["done"]:
        remaining = progress["seconds"] * (progress["total"] - progress["done"]) / progress["done"]
        left = f", {clock(remaining)} left"
    return f"{progress['what']} {progress['done']}/{progress['total']}" + (f" ({figures}{left})" if figures else left)


def _outcome(job: Any) -> str:
    # A job may count as finished a moment before its outputs are linked.
    if job.is_finished_ok and "output_parameters" not in job.outputs:
        return "finished"
    if job.is_finished_ok:
        if job.base.caching.is_created_from_cache:
            return "from the cache"
        output = job.outputs.output_parameters
        return f"{output['wall_seconds']:.0f} s, {output['peak_memory_mb']:.0f} MB{_figure(output)}"
    return f"failed [{job.exit_status}] {job.exit_message or job.process_state.value}"


FIGURES = {
    "energy_ev": "energy {:.3f} eV",
    "frames": "{} frames",
    "mean_temperature_k": "mean temperature {:.0f} K",
    "r2_test": "R2 on unseen forces {:.3f}",
    "min_frequency_thz": "lowest frequency {:.2f} THz",
}
"""The figure that matters of each task."""


def _figure(output: Any) -> str:
    values = output.get_dict()
    if values.get("validation"):
        return f", force error {values['validation']['force_rmse_ev_per_angstrom']:.3f} eV/Angstrom"
    for key, text in FIGURES.items():
        if values.get(key):
            return ", " + text.format(values[key])
    return ""


def clock(seconds: float) -> str:
    """Minutes and seconds, with hours where there are any."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def width() -> int:
    """Columns of the terminal that a line may fill."""
    import shutil

    return shutil.get_terminal_size().columns - 1
