"""Crystals with force constants that are known to fourth order: Lennard-Jones springs, and real silicon."""

from collections.abc import Callable
from itertools import product
from pathlib import Path

import numpy as np
import phono3py
import pytest
from ase import Atoms

from aiida_iontherm.tasks.force_constant_files import Clusters, ForceConstants, Repetition, fold, phonopy_supercell

CUTOFF = 3.3
"""Of the springs in Angstrom; under half the shortest vector of the supercell, 7.2, so that no images meet."""

DEPTH = 0.3
"""Of a spring in eV: 72 times this is its force constant times squared length, which sums up to an ordinary crystal."""


@pytest.fixture(scope="session")
def crystal() -> Atoms:
    """Three different atoms in a triclinic cell: nothing is equal by symmetry, so nothing can be mistaken unseen."""
    cell = [(3.6, 0.2, -0.1), (0.5, 3.9, 0.3), (-0.4, 0.6, 4.3)]
    places = [(0.02, 0.01, 0.03), (0.48, 0.55, 0.06), (0.51, 0.07, 0.54)]
    return Atoms("CsCuI", cell=cell, scaled_positions=places, pbc=True)


@pytest.fixture(scope="session")
def supercell(crystal: Atoms) -> Atoms:
    return phonopy_supercell(crystal, (2, 2, 2))


@pytest.fixture(scope="session")
def clusters(crystal: Atoms) -> dict[int, Clusters]:
    """Exact clusters of orders two to four: springs know their own lattice vectors."""
    return {order: springs(crystal, order) for order in (2, 3, 4)}


@pytest.fixture(scope="session")
def constants(crystal: Atoms, supercell: Atoms, clusters: dict[int, Clusters]) -> ForceConstants:
    repetition = Repetition.of(crystal, supercell)
    nac = {"born": charges(), "dielectric": np.diag([4.0, 5.0, 6.0])}
    return ForceConstants(
        repetition,
        second=fold(clusters[2], repetition),
        third=fold(clusters[3], repetition),
        fourth=clusters[4],
        nac=nac,
    )


def charges() -> np.ndarray:
    """Different for each atom, neutral in all."""
    born = np.array([np.diag([1.0, 1.1, 1.2]), np.full((3, 3), 0.1) + np.eye(3), np.zeros((3, 3))])
    born[2] = -born[0] - born[1]
    return born


@pytest.fixture(scope="session")
def silicon(shared_data: Path) -> phono3py.Phono3py:
    folder = shared_data / "force_sets" / "Si-PBE"
    return phono3py.load(
        folder / "phono3py_disp.yaml", forces_fc3_filename=folder / "FORCES_FC3", is_nac=False, log_level=0
    )


@pytest.fixture
def changed(tmp_path: Path) -> Callable[[Path, Callable[[str], str]], Path]:
    """Write a changed copy of a text file."""

    def change(path: Path, how: Callable[[str], str]) -> Path:
        copy = tmp_path / "changed" / path.name
        copy.parent.mkdir(exist_ok=True)
        before = path.read_text()
        after = how(before)
        assert after != before
        copy.write_text(after)
        return copy

    return change


def springs(crystal: Atoms, order: int) -> Clusters:
    """Derivatives of the springs between all atoms within the cutoff, each at its rest length."""
    found: dict[tuple[int, ...], np.ndarray] = {}
    lattice = crystal.cell.array
    for i, j, *cell in product(range(3), range(3), *[range(-2, 3)] * 3):
        vector = crystal.positions[j] + cell @ lattice - crystal.positions[i]
        if not 0 < np.linalg.norm(vector) < CUTOFF:
            continue
        tensor = spring_tensor(vector, order)
        # E = f(r_j - r_i): each place of the cluster is atom i or j, with a minus for each i; the first is i at home.
        for ends in product((0, 1), repeat=order - 1):
            key = (
                i,
                *((i, j)[end] for end in ends),
                *np.concatenate([(0 * np.array(cell), cell)[end] for end in ends]),
            )
            sign = (-1.0) ** (order - sum(ends))
            found[key] = found.get(key, 0.0) + sign * tensor
    keys = np.array(list(found), dtype=np.int64)
    atoms, cells = keys[:, :order], keys[:, order:].reshape(-1, order - 1, 3)
    return Clusters(atoms, cells, np.array(list(found.values()))).summed()


def spring_tensor(x: np.ndarray, order: int) -> np.ndarray:
    """Derivatives of f(s) = DEPTH ((d^2/s)^6 - 2 (d^2/s)^3), s = |x|^2, at |x| = d."""
    s = float(x @ x)

    def slope(times: int) -> float:
        def of_power(n: int) -> float:
            return float(np.prod([-(n + k) for k in range(times)])) / s**times

        return DEPTH * (of_power(6) - 2 * of_power(3))

    one, d = np.eye(3), [slope(k) for k in range(5)]
    if order == 2:
        return 4 * d[2] * np.outer(x, x) + 2 * d[1] * one
    xxx = np.einsum("a,b,c->abc", x, x, x)
    if order == 3:
        mixed = np.einsum("ab,c->abc", one, x)
        return 8 * d[3] * xxx + 4 * d[2] * (mixed + mixed.transpose(0, 2, 1) + mixed.transpose(2, 1, 0))
    xxxx, pairs = np.einsum("abc,d->abcd", xxx, x), np.einsum("ab,c,d->abcd", one, x, x)
    deltas = np.einsum("ab,cd->abcd", one, one)
    places = [(0, 1, 2, 3), (0, 2, 1, 3), (0, 3, 1, 2), (1, 2, 0, 3), (1, 3, 0, 2), (2, 3, 0, 1)]
    six = sum(pairs.transpose(np.argsort(place)) for place in places)
    three = deltas + deltas.transpose(0, 2, 1, 3) + deltas.transpose(0, 3, 2, 1)
    return 16 * d[4] * xxxx + 8 * d[3] * six + 4 * d[2] * three
