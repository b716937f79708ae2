"""What the Slurm tests do with AiiDA, in a process of its own: plain data in and out, so that it can be called there.

A profile cannot be changed under the nodes that other tests of this process still hold.
"""

from typing import Any

import numpy as np

PROFILE = "slurm"
CODE = "iontherm-task@slurm"


def make_profile(folder: str) -> None:
    """Profile on SQLite and ZeroMQ, a computer with Slurm on this machine, the code, and the daemon."""
    from pathlib import Path

    from aiida.engine.daemon.client import get_daemon_client
    from aiida.manage.configuration import get_config
    from aiida.orm import Computer, InstalledCode, load_code

    from aiida_iontherm.cli.setup import ensure_code, ensure_computer, ensure_profile

    ensure_profile(PROFILE, postgres=None, rabbitmq=False)
    # Five attempts from 20 s on, as AiiDA does it, take five minutes.
    config = get_config()
    config.set_option("transport.task_retry_initial_interval", 1, scope=PROFILE)
    config.store()
    ensure_computer(Path(folder) / "direct")
    ensure_code()
    computer = Computer(
        label="slurm",
        hostname="localhost",
        transport_type="core.local",
        scheduler_type="core.slurm",
        workdir=f"{folder}/jobs",
    ).store()
    computer.set_minimum_job_poll_interval(0.5)
    computer.set_default_mpiprocs_per_machine(1)
    computer.configure(safe_interval=0, use_login_shell=False)
    executable = str(load_code("iontherm-task@localhost").filepath_executable)
    InstalledCode(label="iontherm-task", computer=computer, filepath_executable=executable).store()
    get_daemon_client(PROFILE).start_daemon(number_workers=1)


def stop_daemon() -> None:
    from aiida.engine.daemon.client import get_daemon_client

    get_daemon_client(PROFILE).stop_daemon(wait=True, timeout=30)


def submit_label(options: dict[str, Any]) -> int:
    """Energy of one cell of copper by EMT: a job of a second."""
    from aiida.engine import submit
    from aiida.orm import Dict, load_code
    from aiida.plugins import CalculationFactory
    from ase.build import bulk

    from aiida_iontherm.data import ConfigurationsData

    return submit(
        CalculationFactory("iontherm.reference"),
        code=load_code(CODE),
        configurations=ConfigurationsData.from_frames([bulk("Cu")]),
        parameters=Dict({"engine": "emt", "mode": "label"}),
        metadata={"options": options},
    ).pk


def submit_dynamics(settings: dict[str, Any], options: dict[str, Any]) -> int:
    """Molecular dynamics of solid argon as a work chain."""
    from io import BytesIO
    from pathlib import Path
    from tempfile import TemporaryDirectory

    from aiida.engine import submit
    from aiida.orm import Dict, StructureData, load_code
    from aiida.plugins import WorkflowFactory
    from pair_argon import argon, pair_argon

    from aiida_iontherm.data import PotentialData

    with TemporaryDirectory() as folder:
        pair_argon().write(Path(folder) / "argon.mtp")
        potential = PotentialData(BytesIO((Path(folder) / "argon.mtp").read_bytes()), species=["Ar"])
    return submit(
        WorkflowFactory("iontherm.dynamics"),
        code=load_code(CODE),
        structure=StructureData(ase=argon()),
        potential=potential,
        settings=Dict(settings),
        options=Dict(options),
    ).pk


def submit_material(atoms: Any, overrides: dict[str, Any]) -> int:
    """Run everything for one compound."""
    from aiida.engine import submit
    from aiida.orm import StructureData, load_code

    from aiida_iontherm.workchains.material import MaterialWorkChain

    return submit(
        MaterialWorkChain.get_builder_from_protocol(
            load_code(CODE), StructureData(ase=atoms), "demo", overrides=overrides
        )
    ).pk


def jobs_below(pk: int) -> list[tuple[str, str]]:
    """Task and number in the queue of all jobs of a chain, in the order they were made."""
    from aiida.orm import CalcJobNode, load_node

    jobs = [node for node in load_node(pk).called_descendants if isinstance(node, CalcJobNode)]
    return [(job.process_class.TASK, job.get_job_id()) for job in sorted(jobs, key=lambda job: job.pk)]


def quantities(pk: int) -> set[str]:
    """Names of all that a chain found."""
    from aiida.orm import load_node

    return {quantity.name for quantity in load_node(pk).outputs.result.quantities}


def state(pk: int) -> dict[str, Any]:
    """How a process is, and the jobs it is or called itself."""
    from aiida.orm import CalcJobNode, Log, load_node

    node = load_node(pk)
    jobs = [job for job in (node, *sorted(node.called, key=lambda job: job.pk)) if isinstance(job, CalcJobNode)]
    return {
        "terminated": node.is_terminated,
        "paused": node.paused,
        "status": node.process_status,
        "exit": node.exit_status,
        "jobs": [
            {"number": job.get_job_id(), "exit": job.exit_status, "folder": job.get_remote_workdir()} for job in jobs
        ],
        "log": "\n".join(record.message for record in Log.collection.get_logs_for(node)),
    }


def trajectory(pk: int) -> dict[str, np.ndarray]:
    """Arrays of the trajectory that a chain gave."""
    from aiida.orm import load_node

    node = load_node(pk).outputs.trajectory
    with node.open(mode="rb") as stream, np.load(stream, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def play(pk: int) -> None:
    from aiida.engine.processes.control import play_processes
    from aiida.orm import load_node

    play_processes([load_node(pk)])
