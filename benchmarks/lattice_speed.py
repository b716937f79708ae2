"""Two-channel conductivity for given linewidths, against phono3py and against the same steps with phonopy and NumPy.

The crystals have as many atoms as those of the goals and random, weak force constants: how they vibrate does not matter
for the time. phono3py reads the linewidths from a file (``transport_type="SMM19"``). The other way, step by step, is at
each point phonopy's dynamical matrix and its derivative, eigenvectors, three products for the velocity operator,
Lorentzians of all pairs and six sums.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import tempfile
import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from _timing import print_load, print_machine, print_table, verdict
from phono3py import Phono3py
from phono3py.file_IO import write_kappa_to_hdf5
from phonopy import Phonopy
from phonopy.harmonic.derivative_dynmat import DerivativeOfDynamicalMatrix
from phonopy.structure.atoms import PhonopyAtoms

from aiida_iontherm.physics.heat import mode_heat_capacity
from aiida_iontherm.physics.lattice import PairSum, Phonons
from aiida_iontherm.physics.lattice.tensors import VOIGT

Array = npt.NDArray[np.float64]

TEMPERATURE, GAMMA = 300.0, 0.05
# atoms, mesh, goals in seconds for all of it and for one more set of linewidths
CASES = ((20, (5, 5, 4), 1.0, None), (56, (5, 5, 5), 3.0, 0.010))
PAIR_GOAL = 100.0


def random_crystal(n_atoms: int, polar: bool, seed: int = 0) -> Phonopy:
    """Make a cell of atoms at random, held in their places, that interact over a 2 x 2 x 2 supercell."""
    rng = np.random.default_rng(seed)
    edge = (18.0 * n_atoms) ** (1 / 3)
    cell = PhonopyAtoms(
        numbers=rng.choice([9, 11, 12, 29, 34], n_atoms),
        cell=np.diag(edge * np.array([0.98, 1.0, 1.02])),
        scaled_positions=rng.random((n_atoms, 3)),
    )
    crystal = Phonopy(cell, np.diag([2, 2, 2]), primitive_matrix=np.eye(3), is_symmetry=False, log_level=0)
    constants = 0.01 * rng.normal(size=(n_atoms, len(crystal.supercell), 3, 3))
    constants[np.arange(n_atoms), crystal.primitive.p2s_map] += 20 * np.eye(3)
    crystal.force_constants = constants
    if polar:
        charges = rng.choice([-1.0, 1.0], n_atoms)
        charges -= charges.mean()
        crystal.nac_params = {"born": charges[:, None, None] * np.eye(3), "dielectric": 3 * np.eye(3), "factor": 14.4}
    return crystal


def shortest(call: Callable[[], object], rounds: int) -> float:
    """CPU seconds of the fastest of several calls."""
    times = []
    for _ in range(rounds):
        start = time.process_time()
        call()
        times.append(time.process_time() - start)
    return min(times)


def velocities_of_phonopy(crystal: Phonopy, points: Array) -> None:
    """Matrix, eigenvectors, derivative and three products at each point."""
    matrix = crystal.dynamical_matrix
    derivative = DerivativeOfDynamicalMatrix(matrix)
    for q in points:
        matrix.run(q)
        _, vectors = np.linalg.eigh(matrix.dynamical_matrix)
        derivative.run(q)
        for slope in derivative.d_dynamical_matrix:
            vectors.conj().T @ slope @ vectors


def numpy_pair_sum(frequencies: Array, widths: Array, velocities: npt.NDArray[np.complex128]) -> Array:
    """Sum over the pairs of one point as NumPy does it: Lorentzians, products of velocities, a tensor."""
    capacity = mode_heat_capacity(frequencies, TEMPERATURE) / frequencies
    pair = (frequencies[:, None] + frequencies[None]) / 4 * (capacity[:, None] + capacity[None])
    width = widths[:, None] + widths[None]
    pair *= width / ((frequencies[:, None] - frequencies[None]) ** 2 + width**2)
    return np.array([np.sum(pair * (velocities[a] * velocities[b].conj()).real) for a, b in VOIGT])


def phono3py_seconds(crystal: Phonopy, mesh: tuple[int, int, int], gamma: Array) -> float:
    """CPU seconds of phono3py for both channels, phonons and velocities on the mesh included."""
    # It takes the same points in the same order: without symmetry all of the mesh.
    frequencies = np.zeros_like(gamma)
    temperatures = np.array([TEMPERATURE])
    other = Phono3py(
        crystal.unitcell, crystal.supercell_matrix, primitive_matrix=np.eye(3), is_symmetry=False, log_level=0
    )
    other.fc2 = crystal.force_constants
    other.nac_params = crystal.nac_params
    other.mesh_numbers = mesh
    # It writes into the working folder, and warns that random force constants hold the crystal in its place.
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder), contextlib.redirect_stdout(io.StringIO()):
        write_kappa_to_hdf5(
            temperatures, list(mesh), gamma=gamma[None], qpoint=np.zeros((len(gamma), 3)), frequency=frequencies
        )
        start = time.process_time()
        other.init_phph_interaction()
        other.run_thermal_conductivity(temperatures=temperatures, transport_type="SMM19", read_gamma=True)
        return time.process_time() - start


def numpy_seconds(bands: int, rounds: int) -> float:
    """CPU seconds of NumPy's sum over the pairs of one point."""
    rng = np.random.default_rng(2)
    frequencies = rng.uniform(1, 9, bands)
    velocities = rng.normal(size=(3, bands, bands)) * (1 + 1j)
    widths = np.full_like(frequencies, GAMMA)
    return shortest(lambda: numpy_pair_sum(frequencies, widths, velocities), rounds)


def rows(
    n_atoms: int, mesh: tuple[int, int, int], goal: float, again_goal: float | None, rounds: int, *, with_phono3py: bool
) -> list[list[str]]:
    """Time a crystal without and with long-range dipoles."""
    points = np.indices(mesh).reshape(3, -1).T / mesh
    count = len(points)
    result = []
    for polar in (False, True):
        crystal = random_crystal(n_atoms, polar)
        gamma = np.full((count, 3 * n_atoms), GAMMA)

        def first(crystal: Phonopy = crystal, gamma: Array = gamma) -> PairSum:
            phonons = Phonons.from_phonopy(crystal, qpoints=points, weights=np.ones(count), threads=1)
            pairs = PairSum.of(phonons, threads=1)
            pairs.channels(gamma, TEMPERATURE)
            return pairs

        pairs = first()
        ours = shortest(first, rounds)
        again = shortest(lambda pairs=pairs, gamma=gamma: pairs.channels(gamma, TEMPERATURE), 10 * rounds)
        phonons = Phonons.from_phonopy(crystal, qpoints=points, weights=np.ones(count), threads=1)
        halved = PairSum.of(phonons, threads=1, precision="single")
        single = shortest(lambda pairs=halved, gamma=gamma: pairs.channels(gamma, TEMPERATURE), 10 * rounds)
        sums = count * numpy_seconds(3 * n_atoms, 5 * rounds)
        steps = None
        if not polar:  # phonopy has no compiled derivative of the Ewald sum
            steps = sums + shortest(lambda crystal=crystal: velocities_of_phonopy(crystal, points), 1)
        peer = phono3py_seconds(crystal, mesh, gamma) if with_phono3py else None
        result.append(
            [
                f"{3 * n_atoms} x {count}" + (", polar" if polar else ""),
                f"{ours:.2f}",
                verdict(ours, goal, at_least=False),
                *(("", "") if peer is None else (f"{peer:.1f}", f"{peer / ours:.0f}")),
                *(("", "") if steps is None else (f"{steps:.2f}", f"{steps / ours:.1f}")),
                f"{again * 1e3:.1f}",
                verdict(again, again_goal, at_least=False),
                f"{single * 1e3:.1f}",
                f"{sums / again:.0f}",
                verdict(sums / again, PAIR_GOAL),
            ]
        )
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--long", action="store_true", help="phono3py for the large crystal too: some ten minutes")
    arguments = parser.parse_args()
    print_machine()
    table = [
        row
        for n_atoms, mesh, goal, again in CASES
        for row in rows(
            n_atoms, mesh, goal, again, arguments.rounds, with_phono3py=arguments.long or n_atoms == CASES[0][0]
        )
    ]
    print_table(
        "Bands x points, six components of the tensor: CPU seconds on one thread",
        [
            *("crystal", "ours", "goal / s", "phono3py", "ratio", "by steps", "ratio"),
            *("again / ms", "goal / s", "single / ms", "NumPy / again", "goal"),
        ],
        table,
    )
    print_load()


if __name__ == "__main__":
    main()
