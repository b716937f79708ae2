"""The profile of the scale test: back ends, computer, code, compounds and what is asked about them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from ase import Atoms

from aiida_iontherm.cli.setup import CODE_LABEL, ensure_code, ensure_computer, ensure_profile

PROFILE = "scale"
LABEL = "compound {:04d}"

SETTINGS: dict[str, Any] = {
    "temperatures": [300],
    "engine": {"name": "emt", "options": {}},
    "relax": {"relax_cell": True, "force_tolerance": 0.02},
    "reference": {
        "min_extent": 5.0,
        "max_atoms": 60,
        "temperatures": [300, 500],
        "volume_scalings": [1.0, 1.02],
        "frames_per_run": 8,
        "stride": 8,
        "rattled_frames": 3,
    },
    "potential": {
        "level": 6,
        "cutoff": 4.5,
        "radial_size": 6,
        "max_iterations": 30,
        "max_rounds": 0,
        "test_frames": 4,
    },
    "dynamics": {
        "min_extent": 7.0,
        "max_atoms": 60,
        "timestep_fs": 4.0,
        "equilibration_ps": 0.4,
        "production_ps": 1.6,
        "position_interval_fs": 8.0,
        "snapshots": 12,
    },
    "force_constants": {"cutoffs": [3.6, 3.0], "blocks": 2},
    "conductivity": {"mesh_length": 12.0, "coarse_mesh_length": 8.0},
}
"""The whole chain through a cell of two atoms, each task a second or two of work; no number means anything."""


def compound(index: int) -> Atoms:
    """CuAu I, strained a little, no two alike."""
    a, c = 2.80 * (1 + 1e-5 * index), 3.68 * (1 - 2e-5 * index)
    return Atoms("CuAu", cell=np.diag([a, a, c]), scaled_positions=[(0, 0, 0), (0.5, 0.5, 0.5)], pbc=True)


def load_or_make(folder: Path, postgres: str | None, slurm: bool) -> None:
    """Load the profile in `folder`, made where it is missing; no two compounds are alike, so the cache serves none."""
    from aiida.manage.configuration import get_config
    from aiida.orm import Computer, InstalledCode, load_code

    if not ensure_profile(PROFILE, postgres, rabbitmq=postgres is not None):
        return
    config = get_config()
    config.set_option("daemon.worker_process_slots", 100, scope=PROFILE)
    config.store()
    ensure_computer(folder / "jobs")
    ensure_code()
    if slurm:
        computer = Computer(
            label="slurm",
            hostname="localhost",
            transport_type="core.local",
            scheduler_type="core.slurm",
            workdir=str(folder / "jobs"),
        ).store()
        computer.set_minimum_job_poll_interval(5.0)
        computer.set_default_mpiprocs_per_machine(1)
        computer.configure(safe_interval=0, use_login_shell=False)
        executable = str(load_code(f"{CODE_LABEL}@localhost").filepath_executable)
        InstalledCode(label=CODE_LABEL, computer=computer, filepath_executable=executable).store()


def reconnect() -> None:
    """Forget the connection to a broker that is no more, over which a submission would be lost without a word."""
    from aiida.manage import get_manager

    get_manager().reset_runner()
    get_manager().reset_broker()


def submit_compound(index: int, slurm: bool, potential: Any = None) -> int:
    """Hand the chain of one compound to the daemon, with a ready potential its ions only, and return its number."""
    from aiida.engine import submit
    from aiida.orm import StructureData, load_code

    from aiida_iontherm.workchains.material import MaterialWorkChain

    builder = MaterialWorkChain.get_builder_from_protocol(
        load_code(f"{CODE_LABEL}@{'slurm' if slurm else 'localhost'}"),
        StructureData(ase=compound(index)),
        "demo",
        overrides=SETTINGS if potential is None else SETTINGS | {"goal": "diffusivity"},
        potential=potential,
    )
    builder.metadata.label = LABEL.format(index)
    return submit(builder).pk


class Chain(NamedTuple):
    """One compound as the database has it."""

    index: int
    pk: int
    state: str
    exit_status: int | None
    exit_message: str | None
    exception: str | None
    seconds: float
    tries: int

    @property
    def finished(self) -> bool:
        """Whether it ended with its results."""
        return self.state == "finished" and self.exit_status == 0

    @property
    def ended(self) -> bool:
        """Whether it ended, one way or another."""
        return self.state in ("finished", "excepted", "killed")


def chains() -> list[Chain]:
    """Return all compounds that were submitted, each with its last chain."""
    from aiida.orm import QueryBuilder

    from aiida_iontherm.workchains.material import MaterialWorkChain

    keys = ["process_state", "exit_status", "exit_message", "exception"]
    query = QueryBuilder().append(
        MaterialWorkChain,
        filters={"label": {"like": "compound %"}},
        project=["label", "id", *(f"attributes.{key}" for key in keys), "ctime", "mtime"],
    )
    found: dict[int, Chain] = {}
    for label, pk, *rest, ctime, mtime in sorted(query.all(), key=lambda row: row[1]):
        index = int(label.split()[1])
        tries = found[index].tries + 1 if index in found else 1
        found[index] = Chain(index, pk, *rest, (mtime - ctime).total_seconds(), tries)
    return [found[index] for index in sorted(found)]


def not_ended() -> dict[int, tuple[str, str, bool]]:
    """Return label, state and whether it is paused, of every process that has not ended, by number."""
    from aiida.orm import ProcessNode, QueryBuilder

    keys = ["attributes.process_label", "attributes.process_state", "attributes.paused"]
    query = QueryBuilder().append(ProcessNode, project=["id", *keys])
    query.add_filter(ProcessNode, {"attributes.process_state": {"!in": ["finished", "excepted", "killed"]}})
    return {pk: (label, state, bool(paused)) for pk, label, state, paused in query.all()}


def task_seconds(pk: int) -> float:
    """Return the seconds that the tasks of a chain took where they ran."""
    from aiida.orm import CalcJobNode, load_node

    jobs = [node for node in load_node(pk).called_descendants if isinstance(node, CalcJobNode)]
    return sum(job.outputs.output_parameters["wall_seconds"] for job in jobs if job.is_finished_ok)


def failed_jobs() -> dict[str, int]:
    """Count jobs and calculation functions that ended badly, by name and reason, also where the chain got over it."""
    from aiida.orm import CalculationNode, QueryBuilder

    keys = ["process_label", "process_state", "exit_status", "exit_message", "exception"]
    query = QueryBuilder().append(CalculationNode, project=[f"attributes.{key}" for key in keys])
    counts: dict[str, int] = {}
    for label, state, status, message, exception in query.all():
        if state in ("excepted", "killed") or status:
            reason = f"{label} {state} [{status}] {(message or exception or '').strip()[:200]}"
            counts[reason] = counts.get(reason, 0) + 1
    return counts


def count_processes() -> int:
    """Count the processes in the database."""
    from aiida.orm import ProcessNode, QueryBuilder

    return QueryBuilder().append(ProcessNode).count()
