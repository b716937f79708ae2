"""What a job asks of the scheduler, in plain words, and how AiiDA calls it.

Physics is said once and holds for all machines; resources belong to a machine and are kept apart. A protocol names them
per task (``md``, ``train`` ...), per program (``vasp``, ``espresso``, ``lammps`` ...), or for all (``default``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

DEFAULT = "default"
PER_TASK = "tasks"
"""Key of the input `options` under which resources per task travel; all others are AiiDA's own options."""

HANDLERS = "handlers"
"""Key of the input `options` under which handlers to switch off travel: NAME: false."""

KILOBYTES = {"KB": 1, "MB": 1024, "GB": 1024**2, "TB": 1024**3}
SECONDS = {"s": 1, "min": 60, "h": 3600, "d": 86400}


class Resources(BaseModel):
    """Resources of one job."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cpus: int | None = Field(None, gt=0, description="Cores: threads of a task, MPI ranks of a program.")
    nodes: int | None = Field(None, gt=0, description="Nodes the ranks of a program are spread over.")
    memory: str | None = Field(None, description="Of all cores together, e.g. 16 GB.")
    walltime: str | int | None = Field(None, description="HH:MM:SS, D-HH:MM:SS, or a number with s, min, h or d.")
    queue: str | None = Field(None, description="Queue or partition.")
    account: str | None = Field(None, description="Account or project to charge.")
    stalled_after: str | int | None = Field(
        None,
        description="A time like walltime; a task that tells nothing new for so long is ended and goes on elsewhere.",
    )

    @field_validator("memory")
    @classmethod
    def _memory(cls, value: str | None) -> str | None:
        if value is not None:
            kilobytes(value)
        return value

    @field_validator("walltime", "stalled_after")
    @classmethod
    def _walltime(cls, value: str | int | None) -> str | int | None:
        if value is not None:
            seconds(value)
        return value


def kilobytes(text: str) -> int:
    """Return the memory that a text like ``16 GB`` means, in units of 1024 bytes.

    Raises
    ------
    ValueError
        If it is no amount of memory.
    """
    match = re.fullmatch(r"\s*([0-9.]+)\s*([KMGT])i?B?\s*", text, flags=re.IGNORECASE)
    if not match or float(match[1]) <= 0:
        raise ValueError(f"{text} is no amount of memory: write 500 MB or 16 GB")
    return round(float(match[1]) * KILOBYTES[match[2].upper() + "B"])


def seconds(value: str | int) -> int:
    """Return the wall time that a text like ``12:00:00``, ``1-00:00:00``, ``90 min`` or ``2 d`` means, in seconds.

    YAML itself reads ``12:00:00`` as a number of seconds; such a number is taken as it is.

    Raises
    ------
    ValueError
        If it is no time.
    """
    text = str(value).strip()
    clock = re.fullmatch(r"(?:(\d+)-)?(\d+):([0-5]?\d):([0-5]?\d)", text)
    if clock:
        days, hours, minutes, rest = (int(part or 0) for part in clock.groups())
        found = ((days * 24 + hours) * 60 + minutes) * 60 + rest
    else:
        unit = re.fullmatch(r"([0-9.]+)\s*(s|min|h|d)?", text)
        if not unit:
            raise ValueError(f"{value} is no wall time: write 12:00:00, 1-00:00:00, 90 min, 2 h or 3 d")
        found = round(float(unit[1]) * SECONDS[unit[2] or "s"])
    if found <= 0:
        raise ValueError(f"{value} is no wall time: it must be longer than nothing")
    return found


def scheduler_options(resources: Resources, *, ranks: bool) -> dict[str, Any]:
    """Return AiiDA's options for some resources.

    Parameters
    ----------
    ranks : bool
        Whether the cores are MPI ranks (a program) or threads of one process (a task).
    """
    options: dict[str, Any] = {}
    cpus, nodes = resources.cpus, resources.nodes or 1
    if ranks and (cpus is not None or resources.nodes is not None):
        per_node, left_over = divmod(cpus or nodes, nodes)
        if left_over:
            raise ValueError(f"{cpus} MPI ranks do not spread evenly over {nodes} nodes: take a multiple")
        options["resources"] = {"num_machines": nodes, "num_mpiprocs_per_machine": per_node}
    elif cpus is not None:
        if nodes > 1:
            raise ValueError(f"a task runs on one node, not on {nodes}: leave `nodes` out")
        options["resources"] = {"num_machines": 1, "num_mpiprocs_per_machine": 1, "num_cores_per_mpiproc": cpus}
        options["environment_variables"] = {
            "OMP_NUM_THREADS": str(cpus),
            "OPENBLAS_NUM_THREADS": "1",
            "MKL_NUM_THREADS": "1",
        }
    if resources.memory is not None:
        options["max_memory_kb"] = kilobytes(resources.memory)
    if resources.walltime is not None:
        options["max_wallclock_seconds"] = seconds(resources.walltime)
    if resources.queue is not None:
        options["queue_name"] = resources.queue
    if resources.account is not None:
        options["account"] = resources.account
    return options


def options_for(options: Mapping[str, Any], name: str, *, ranks: bool = False) -> dict[str, Any]:
    """Return AiiDA's options of one job: those for all, then the resources for all, then those of its task or program.

    Parameters
    ----------
    options : mapping
        The input `options` of a chain.
    name : str
        Of the task or the program.
    ranks : bool
        As `scheduler_options`.
    """
    found = {key: value for key, value in options.items() if key not in (PER_TASK, HANDLERS)}
    return found | scheduler_options(_resources(options, name), ranks=ranks)


def stalled_minutes(options: Mapping[str, Any], name: str) -> float | None:
    """Return after how many minutes without a word a job of a task counts as hanging, if that is to be watched."""
    after = _resources(options, name).stalled_after
    return None if after is None else seconds(after) / 60


def _resources(options: Mapping[str, Any], name: str) -> Resources:
    per_task = options.get(PER_TASK) or {}
    merged: dict[str, Any] = {}
    for key in (DEFAULT, name):
        merged |= {k: v for k, v in (per_task.get(key) or {}).items() if v is not None}
    return Resources.model_validate(merged)
