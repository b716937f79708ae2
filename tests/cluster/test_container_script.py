"""A containerized code: the job script that AiiDA writes, and a job through a stand-in for the container engine.

No engine runs here: that the image holds what the recipe says is for those who build it.
"""

import sys
from pathlib import Path

import pytest
from aiida.common.folders import SandboxFolder
from aiida.engine.utils import instantiate_process
from aiida.manage import get_manager
from aiida.orm import Computer, ContainerizedCode, Dict, StructureData
from aiida.plugins import CalculationFactory

from aiida_iontherm.data import ConfigurationsData

# As in docs/how-to/containers.md.
ENGINE = "apptainer exec --bind /scratch/you/aiida {image_name}"
IMAGE = "/images/iontherm-task.sif"

STAND_IN = f"""#!/bin/bash
# Takes what the engine would take, notes it, and runs the command outside of any container.
echo "$@" > engine_arguments
[ "$1 $2" = "exec --bind" ] && shift 4
PATH={Path(sys.executable).parent}:$PATH exec "$@"
"""


def make_code(computer, engine=ENGINE):
    return ContainerizedCode(
        computer=computer,
        engine_command=engine,
        image_name=IMAGE,
        filepath_executable="iontherm-task",
        wrap_cmdline_params=False,
    ).store()


@pytest.fixture(scope="module")
def cluster(aiida_profile):
    computer = Computer(
        label="cluster",
        hostname="login.cluster.example",
        transport_type="core.local",
        scheduler_type="core.slurm",
        workdir="/scratch/you/aiida",
    ).store()
    computer.set_default_mpiprocs_per_machine(1)
    return computer


def test_job_script(cluster, cuau):
    process = instantiate_process(
        get_manager().get_runner(),
        CalculationFactory("iontherm.md"),
        code=make_code(cluster),
        structure=StructureData(ase=cuau),
        parameters=Dict({"engine": "emt", "temperature": 300.0}),
        metadata={"options": {"max_wallclock_seconds": 3600, "queue_name": "standard", "max_memory_kb": 2_000_000}},
    )
    with SandboxFolder() as folder:
        process.presubmit(folder)
        script = Path(folder.get_abs_path("_aiidasubmit.sh")).read_text().splitlines()
    for line in ("#SBATCH --partition=standard", "#SBATCH --time=01:00:00", "#SBATCH --mem=1953"):
        assert line in script
    assert "export OMP_NUM_THREADS='1'" in script  # outside: Apptainer hands the environment on
    command = f"'apptainer' 'exec' '--bind' '/scratch/you/aiida' '{IMAGE}' 'iontherm-task' 'md'"
    assert command in [line.strip() for line in script]


def test_a_job_through_the_engine(task_code, run_process, cuau, tmp_path, monkeypatch):
    """The engine gets the image and then the command, works in the folder of the job, and its result comes back."""
    engine = tmp_path / "apptainer"
    engine.write_text(STAND_IN)
    engine.chmod(0o755)
    node = run_process(
        CalculationFactory("iontherm.reference"),
        code=make_code(task_code.computer, f"{engine} exec --bind /scratch/you/aiida {{image_name}}"),
        configurations=ConfigurationsData.from_frames([cuau]),
        parameters=Dict({"engine": "emt", "mode": "label"}),
    )
    assert node.is_finished_ok, node.exit_message
    noted = (Path(node.get_remote_workdir()) / "engine_arguments").read_text().split()
    assert noted == ["exec", "--bind", "/scratch/you/aiida", IMAGE, "iontherm-task", "reference"]
