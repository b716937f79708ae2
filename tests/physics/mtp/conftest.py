"""Potentials with random coefficients, and crowded little systems that make every term count."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from aiida_iontherm.physics.mtp import MomentTensorPotential
from aiida_iontherm.physics.mtp.basis import BasisTables
from aiida_iontherm.physics.mtp.kernel import Kernel


def make_random_potential(level: int = 8, seed: int = 1, **options) -> MomentTensorPotential:
    rng = np.random.default_rng(seed)
    settings = {"species": ["Cu", "I"], "cutoff": 4.0, "min_distance": 1.5, "radial_size": 4} | options
    blank = MomentTensorPotential.new(level=level, seed=seed, **settings)
    return replace(
        blank,
        moment_coeffs=2.0 * rng.normal(size=blank.moment_coeffs.shape),
        species_coeffs=rng.normal(size=blank.species_coeffs.shape),
    )


@pytest.fixture
def random_potential() -> Callable[..., MomentTensorPotential]:
    return make_random_potential


@pytest.fixture
def cluster() -> Atoms:
    """Nine atoms in vacuum, no symmetry."""
    atoms = Atoms("Cu4I5", positions=2.4 * np.array(list(np.ndindex(3, 3, 1))))
    atoms.rattle(0.3, seed=2)
    return atoms


@pytest.fixture
def crystal() -> Atoms:
    """Triclinic two-atom cell: every neighbour within the cutoff is an image, some of the atom itself."""
    atoms = bulk("CuI", "rocksalt", a=5.0)
    atoms.set_cell(atoms.cell.array @ (np.eye(3) + 0.05 * np.random.default_rng(3).normal(size=(3, 3))), True)
    atoms.rattle(0.1, seed=4)
    return atoms


@pytest.fixture
def every_scalar_counts() -> Callable[[MomentTensorPotential, Atoms], MomentTensorPotential]:
    """Scale the linear coefficients so that all scalars add energies of one size: no mistake in one can hide."""

    def scale(potential: MomentTensorPotential, atoms: Atoms) -> MomentTensorPotential:
        sizes = np.abs(Kernel(potential).parameter_gradients(atoms)[1]).max(axis=0)
        # Some scalars vanish where atoms see a centre of symmetry.
        sizes[sizes < 1e-10 * sizes.max()] = np.inf
        rng = np.random.default_rng(5)
        coefficients = rng.choice([-1.0, 1.0], len(sizes)) * rng.uniform(0.5, 1.5, len(sizes)) / sizes
        return replace(potential, moment_coeffs=coefficients)

    return scale


def make_system(name: str, species: Sequence[str], seed: int = 0) -> Atoms:
    """Small systems of every kind of periodicity, without symmetry, no atoms closer than 1.7 Angstrom."""
    rng = np.random.default_rng(seed)
    size, pbc = SYSTEMS[name]
    spacing = 2.6
    cell = spacing * np.diag(size) + rng.normal(scale=0.2, size=(3, 3))
    cell[~np.array(pbc)] = 0.0 if name in ("cluster", "wire") else cell[~np.array(pbc)]
    n = int(np.prod(size))
    # All species occur, if there are atoms enough.
    symbols = rng.permutation([species[k % len(species)] for k in range(n)])
    positions = spacing * np.array(list(np.ndindex(*size))) + rng.uniform(-0.25, 0.25, (n, 3))
    return Atoms(symbols, positions=positions, cell=cell, pbc=pbc)


SYSTEMS: dict[str, tuple[tuple[int, int, int], tuple[bool, bool, bool]]] = {
    "triclinic": ((2, 2, 2), (True, True, True)),
    "below the cutoff": ((2, 1, 1), (True, True, True)),
    "one atom": ((1, 1, 1), (True, True, True)),
    "slab": ((2, 1, 3), (True, True, False)),
    "wire": ((2, 2, 2), (False, False, True)),
    "cluster": ((3, 3, 1), (False, False, False)),
}


@pytest.fixture
def system() -> Callable[..., Atoms]:
    return make_system


@pytest.fixture(params=SYSTEMS)
def each_system(request) -> Callable[..., Atoms]:
    """Make a system of one kind after the other."""
    return partial(make_system, request.param)


@pytest.fixture(scope="session")
def scalars() -> Callable[[BasisTables, np.ndarray], np.ndarray]:
    """Basis scalars of one neighbourhood [atom, 3], straight from the definition of the tables."""

    def evaluate(tables: BasisTables, vectors: np.ndarray) -> np.ndarray:
        r = np.linalg.norm(vectors, axis=1)
        x, y, z = (vectors / r[:, None]).T
        moments = np.zeros(tables.n_moments)
        for index, (mu, a, b, c) in enumerate(tables.basic.tolist()):
            # Any functions of the distance do, as long as they differ.
            moments[index] = np.sum(np.exp(-r) * r**mu * x**a * y**b * z**c)
        for i, j, factor, k in tables.times.tolist():
            moments[k] += factor * moments[i] * moments[j]
        return moments[tables.scalars]

    return evaluate
