"""Work chains that were made but not run."""

from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiida.engine import Process
from aiida.engine.utils import instantiate_process
from aiida.manage import get_manager
from aiida.orm import Dict, StructureData
from aiida.plugins import WorkflowFactory
from ase import Atoms

from aiida_iontherm.data import ConfigurationsData, ForceConstantsData, ParityData, PotentialData, TrajectoryData
from aiida_iontherm.physics.mtp import MomentTensorPotential
from aiida_iontherm.physics.mtp.selection import active_set_of, active_set_to_arrays
from aiida_iontherm.workchains.protocols import load_protocol


@pytest.fixture
def make_process(task_code: Any) -> Callable[..., Process]:
    """Make a work chain, ready for its methods to be called."""

    def make(plugin: str, **inputs: Any) -> Process:
        return instantiate_process(get_manager().get_runner(), WorkflowFactory(plugin), code=task_code, **inputs)

    return make


@pytest.fixture
def structure(aiida_profile: Any, cuau: Atoms) -> StructureData:
    return StructureData(ase=cuau)


@pytest.fixture
def potential(aiida_profile: Any, tmp_path: Path) -> PotentialData:
    MomentTensorPotential.new(level=4, species=["Cu", "Au"], cutoff=4.0, radial_size=4).write(tmp_path / "p.mtp")
    return PotentialData(tmp_path / "p.mtp", species=["Cu", "Au"])


@pytest.fixture
def graded_potential(potential: PotentialData, tmp_path: Path, cuau: Atoms) -> PotentialData:
    """The same with an active set."""
    stream = BytesIO()
    np.savez(stream, **active_set_to_arrays(active_set_of(potential.potential(), [cuau])))
    stream.seek(0)
    return PotentialData(tmp_path / "p.mtp", species=["Cu", "Au"], active_set=stream)


def archive(node_class: type) -> Any:
    stream = BytesIO()
    np.savez(stream, **{name: np.ones(2) for name in node_class.REQUIRED})
    stream.seek(0)
    return node_class(stream, filename="file.npz")


@pytest.fixture
def nodes(
    structure: StructureData,
    potential: PotentialData,
    graded_potential: PotentialData,
    cuau: Atoms,
    tiny: dict[str, Any],
) -> dict[str, Any]:
    """Inputs of the chains by the name of their port; sections of the tiny settings under their own names."""
    settings = load_protocol("demo", tiny).model_dump(mode="json")
    sections = {name: Dict(section) for name, section in settings.items() if isinstance(section, dict)}
    return {
        "structure": structure,
        "potential_node": potential,
        "graded_potential": graded_potential,
        "parity": archive(ParityData),
        "configurations": ConfigurationsData.from_frames([cuau]),
        "trajectory": archive(TrajectoryData),
        "force_constants_node": archive(ForceConstantsData),
        **sections,
    }
