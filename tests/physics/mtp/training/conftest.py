"""Cells labelled by a planted potential, so that training has an exact answer."""

from collections.abc import Callable

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator

from aiida_iontherm.physics.mtp import MomentTensorPotential

SETTINGS = {"level": 4, "cutoff": 4.0, "min_distance": 1.0, "radial_size": 4}


def label(atoms: Atoms, potential: MomentTensorPotential, stress: bool = True) -> Atoms:
    evaluation = potential.evaluate(atoms)
    labels = {"energy": evaluation.energy, "forces": evaluation.forces}
    if stress:
        labels["stress"] = evaluation.stress[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]
    copy = atoms.copy()
    copy.calc = SinglePointCalculator(copy, **labels)
    return copy


def rattled_cells(count: int, seed: int = 20) -> list[Atoms]:
    """Rattled and strained eight-atom cells with two species in changing proportions."""
    rng = np.random.default_rng(seed)
    cells = []
    for index in range(count):
        atoms = bulk("CuI", "rocksalt", a=5.0, cubic=True)
        if index % 3 == 0:
            atoms.symbols[0] = "I"
        atoms.set_cell(atoms.cell.array @ (np.eye(3) + 0.03 * rng.normal(size=(3, 3))), scale_atoms=True)
        atoms.positions += 0.15 * rng.normal(size=atoms.positions.shape)
        cells.append(atoms)
    return cells


@pytest.fixture
def settings() -> dict:
    """Options that fit the planted potential."""
    return dict(SETTINGS)


@pytest.fixture
def labelled() -> Callable[..., Atoms]:
    return label


@pytest.fixture
def make_cells() -> Callable[..., list[Atoms]]:
    return rattled_cells


@pytest.fixture
def planted(random_potential: Callable[..., MomentTensorPotential]) -> MomentTensorPotential:
    return random_potential(4, seed=21, cutoff=4.0, min_distance=1.0)


@pytest.fixture
def data(planted: MomentTensorPotential) -> list[Atoms]:
    return [label(atoms, planted) for atoms in rattled_cells(12)]
