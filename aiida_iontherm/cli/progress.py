"""What a running work chain does now, in words: read from its processes and from the progress files of its jobs."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from aiida.orm import ProcessNode

    from aiida_iontherm.workchains.plan import Step

INTERVAL = 1.0
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
        self._root = root
        self._plan = plan
        self._expected = sum(step.wall_seconds(cores) for step in plan)
        self._started = time.monotonic()
        self._finished: set[int] = set()
        self._stages: list[str] = []
        self._last_line = 0.0
        self._interactive = sys.stdout.isatty()

    async def watch(self) -> None:
        """Refresh until cancelled; runs in the event loop of the work chain."""
        while True:
            self.refresh()
            await asyncio.sleep(INTERVAL)

    def refresh(self) -> None:
        """Print what is new."""
        jobs = running_jobs(self._root)
        lines = []
        for job in jobs:
            if job.is_terminated:
                if job.pk not in self._finished:
                    self._finished.add(job.pk)
                    lines.append(self._line(f"done  {_name(job)}: {_outcome(job)}"))
            else:
                stage = _name(job)
                if stage not in self._stages:
                    self._stages.append(stage)
                    lines.append(self._line(f"start {stage}"))
        now = [_now(job) for job in jobs if not job.is_terminated]
        status = self._line("  " + "; ".join(text for text in now if text))
        if self._interactive:
            click.echo("\r\x1b[K", nl=False)
        for line in lines:
            click.echo(line)
        if self._interactive:
            click.echo(status[: _width()], nl=False)
        elif any(now) and time.monotonic() - self._last_line > QUIET_SECONDS:
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
        return f"[{_clock(time.monotonic() - self._started)} of about {_clock(self._expected)}] {text}"


def running_jobs(root: ProcessNode) -> list[Any]:
    """All calculation jobs below a process, in the order of their start."""
    from aiida.orm import CalcJobNode, QueryBuilder, WorkflowNode

    jobs: list[Any] = []
    parents = deque([root.pk])
    while parents:
        query = QueryBuilder()
        query.append(WorkflowNode, filters={"id": {"in": list(parents)}}, tag="parent")
        query.append((WorkflowNode, CalcJobNode), with_incoming="parent", project="*")
        children = [row[0] for row in query.all()] if parents else []
        parents = deque(child.pk for child in children if not isinstance(child, CalcJobNode))
        jobs.extend(child for child in children if isinstance(child, CalcJobNode))
    return sorted(jobs, key=lambda job: job.pk)


def _name(job: Any) -> str:
    """Labels of the call links from the run down to the job, without the restart layer."""
    labels = []
    node = job
    while node.caller is not None:
        link = node.base.links.get_incoming(node_class=type(node.caller)).one().link_label
        if not link.startswith(("iteration_", "CALL")):
            labels.append(link.replace("_", " "))
        node = node.caller
    return " > ".join(reversed(labels)) or job.process_label


def last_progress(job: Any) -> dict[str, Any] | None:
    """Last complete line of the progress file of a job on this machine."""
    folder = job.get_remote_workdir()
    if folder is None or job.computer is None or job.computer.transport_type != "core.local":
        return None
    path = Path(folder) / "progress.jsonl"
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


def _now(job: Any) -> str:
    progress = last_progress(job)
    if progress is None:
        state = job.get_state()
        return f"{_name(job)}: {state.value if state else 'waiting'}"
    figures = ", ".join(f"{name} {value:.4g}" for name, value in progress["figures"].items())
    left = ""
    if progress["done"]:
        remaining = progress["seconds"] * (progress["total"] - progress["done"]) / progress["done"]
        left = f", {_clock(remaining)} left"
    return f"{progress['what']} {progress['done']}/{progress['total']}" + (f" ({figures}{left})" if figures else left)


def _outcome(job: Any) -> str:
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


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _width() -> int:
    import shutil

    return shutil.get_terminal_size().columns - 1
