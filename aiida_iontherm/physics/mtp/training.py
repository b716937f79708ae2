"""Training: linear coefficients by least squares inside, radial coefficients by L-BFGS outside.

For given radial functions the energy is linear in the species and moment coefficients, so these are eliminated by a
least-squares solve at every step (variable projection, G. H. Golub and V. Pereyra, SIAM J. Numer. Anal. 10, 413
(1973)); by the envelope theorem the gradient of what is left is the partial derivative with respect to the radial
coefficients. The loss is

    L = 1/K sum_k 1/N_k [w_E (dE_k)^2 + w_F sum_i |dF_k,i|^2 + w_S V_k^2 |dsigma_k|^2]

over K configurations of N_k atoms, in eV^2 (forces in eV/Angstrom, virial V sigma in eV).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from ase import Atoms
from ase.neighborlist import primitive_neighbor_list

from aiida_iontherm.physics.mtp.lbfgs import LbfgsState, lbfgs_start, lbfgs_step
from aiida_iontherm.physics.mtp.motep_backend import Kernel, TrainingKernel
from aiida_iontherm.physics.mtp.potential import MomentTensorPotential

Array = npt.NDArray[np.float64]
Weights = tuple[float, float, float]

PAPER_WEIGHTS: Weights = (1.0, 0.1, 0.01)
"""Weights of energies, forces and stresses of Li et al., Adv. Mater. (2025), doi 10.1002/adma.202513381."""


@dataclass(frozen=True)
class Configuration:
    """Reference energy (eV), forces (eV/Angstrom) [N, 3] and stress (eV/Angstrom^3) [3, 3] of one cell."""

    atoms: Atoms
    energy: float
    forces: Array
    stress: Array | None

    @classmethod
    def from_atoms(cls, atoms: Atoms) -> Configuration:
        """Take the results that an ASE calculator left on `atoms`.

        Raises
        ------
        ValueError
            If energy or forces are missing, or a label is not finite.
        """
        if atoms.calc is None or not {"energy", "forces"} <= set(atoms.calc.results):
            raise ValueError("a training configuration needs an energy and forces: label it with a reference engine")
        energy = float(atoms.calc.results["energy"])
        forces = np.array(atoms.calc.results["forces"], dtype=float)
        stress = atoms.get_stress(voigt=False) if "stress" in atoms.calc.results else None
        if not all(np.all(np.isfinite(values)) for values in (energy, forces, 0.0 if stress is None else stress)):
            raise ValueError("a training configuration has labels that are not finite: leave it out")
        return cls(atoms=atoms, energy=energy, forces=forces, stress=stress)


@dataclass(frozen=True)
class Errors:
    """Deviations from the reference.

    Attributes
    ----------
    energy_rmse, energy_mae : float
        In eV/atom.
    force_rmse, force_mae : float
        Per component, in eV/Angstrom.
    stress_rmse : float or None
        Per component, in eV/Angstrom^3.
    energies : float array [K, 2]
        Reference and predicted energies in eV/atom.
    forces : float array [n, 2]
        Reference and predicted force components in eV/Angstrom.
    """

    energy_rmse: float
    energy_mae: float
    force_rmse: float
    force_mae: float
    stress_rmse: float | None
    energies: Array
    forces: Array


@dataclass(frozen=True)
class TrainingState:
    """A point of the optimisation from which it goes on exactly."""

    optimiser: LbfgsState
    best_radial: Array
    best_validation: float
    history: Array
    """Rows of iteration, training loss and validation loss, both in eV^2."""


@dataclass(frozen=True)
class Training:
    """Outcome of `train`."""

    potential: MomentTensorPotential
    errors: Errors
    validation_errors: Errors | None
    history: Array
    converged: bool
    reason: str


def train(
    configurations: Sequence[Atoms],
    *,
    level: int = 16,
    cutoff: float = 5.0,
    weights: Weights = PAPER_WEIGHTS,
    seed: int = 0,
    radial_size: int = 8,
    min_distance: float | None = None,
    validation_fraction: float = 0.1,
    max_iterations: int = 150,
    tolerance: float = 1e-3,
    start: MomentTensorPotential | None = None,
    state: TrainingState | None = None,
    on_step: Callable[[TrainingState], bool] | None = None,
) -> Training:
    """Train a potential on labelled configurations.

    Parameters
    ----------
    configurations : sequence of ase.Atoms
        Carrying energy, forces and, where there are any, stresses.
    level, cutoff, radial_size, min_distance
        See `MomentTensorPotential.new`. Without `min_distance`, 95 % of the shortest distance in the data.
    weights : (float, float, float)
        w_E, w_F, w_S of the loss above.
    seed : int
        Start of the radial coefficients and choice of the held-out part.
    validation_fraction : float
        Part held out; the parameters that do best on it are kept. 0 keeps the last ones.
    max_iterations : int
        Iterations of L-BFGS.
    tolerance : float
        Stop when 10 iterations lower the training loss by less than this fraction.
    start : MomentTensorPotential, optional
        Radial coefficients to start from, e.g. of the previous generation; must fit level, species and cutoff.
    state : TrainingState, optional
        Continue from here.
    on_step : callable, optional
        Called after each iteration with the state; return False to stop (the potential so far is returned).

    Raises
    ------
    ValueError
        If there are too few configurations or their labels are incomplete.
    """
    data = [Configuration.from_atoms(atoms) for atoms in configurations]
    if len(data) < 2:
        raise ValueError(f"training needs at least 2 labelled configurations, got {len(data)}")
    species = tuple(sorted({symbol for entry in data for symbol in entry.atoms.get_chemical_symbols()}))
    if min_distance is None:
        min_distance = round(0.95 * min(shortest_distance(entry.atoms) for entry in data), 3)
    if start is not None:
        _check_start(start, level, species, cutoff)
    blank = start or MomentTensorPotential.new(
        level=level, species=species, cutoff=cutoff, min_distance=min_distance, radial_size=radial_size, seed=seed
    )
    fitted, held_out = _split(data, validation_fraction, seed)
    problem = _Projected(blank, fitted, weights)
    if state is None:
        first = lbfgs_start(problem.objective, blank.radial_coeffs.ravel())
        state = _record(None, first, problem, held_out, weights)
    # Whether to stop follows from the state alone, so that a run continued from its last state stops where it was.
    while (end := _end(state, max_iterations, tolerance)) is None:
        state = _record(state, lbfgs_step(problem.objective, state.optimiser), problem, held_out, weights)
        if on_step is not None and not on_step(state):
            end = "stopped from outside", False
            break
    reason, converged = end
    radial = state.best_radial if held_out else state.optimiser.x
    potential = problem.solve(radial)
    return Training(
        potential=potential,
        errors=evaluate_errors(potential, fitted),
        validation_errors=evaluate_errors(potential, held_out) if held_out else None,
        history=state.history,
        converged=converged,
        reason=reason,
    )


def evaluate_errors(potential: MomentTensorPotential, data: Sequence[Configuration]) -> Errors:
    """Compare a potential with reference labels."""
    energies, forces, stresses = [], [], []
    for entry in data:
        predicted = potential.evaluate(entry.atoms, virials=False)
        n = len(entry.atoms)
        energies.append((entry.energy / n, predicted.energy / n))
        forces.append(np.column_stack([entry.forces.ravel(), predicted.forces.ravel()]))
        if entry.stress is not None and predicted.stress is not None:
            stresses.append((predicted.stress - entry.stress).ravel())
    energy, force = np.array(energies), np.concatenate(forces)
    d_energy, d_force = energy[:, 1] - energy[:, 0], force[:, 1] - force[:, 0]
    return Errors(
        energy_rmse=_rms(d_energy),
        energy_mae=float(np.mean(np.abs(d_energy))),
        force_rmse=_rms(d_force),
        force_mae=float(np.mean(np.abs(d_force))),
        stress_rmse=_rms(np.concatenate(stresses)) if stresses else None,
        energies=energy,
        forces=force,
    )


def shortest_distance(atoms: Atoms) -> float:
    """Shortest distance between two atoms (or an atom and its own image) in Angstrom."""
    reach = 3.0
    while True:
        distances = primitive_neighbor_list("d", atoms.pbc, atoms.cell.array, atoms.positions, reach)
        if len(distances):
            return float(distances.min())
        reach *= 2
        if reach > 100.0:
            raise ValueError("a training configuration has a single, isolated atom: there is nothing to learn from it")


def _end(state: TrainingState, max_iterations: int, tolerance: float) -> tuple[str, bool] | None:
    """Tell why the optimisation is over and whether it converged; None while it is not over."""
    losses = state.history[:, 1]
    if state.optimiser.stalled:
        return "the line search finds no lower loss", True
    if len(losses) > 10 and losses[-11] - losses[-1] < tolerance * losses[-1]:
        return f"10 iterations lowered the loss by less than {tolerance:g} of it", True
    if state.optimiser.iteration >= max_iterations:
        return f"the limit of {max_iterations} iterations was reached", False
    return None


def _rms(values: Array) -> float:
    return float(np.sqrt(np.mean(values**2)))


def _split(data: list[Configuration], fraction: float, seed: int) -> tuple[list[Configuration], list[Configuration]]:
    held = min(round(fraction * len(data)), len(data) - 2)
    chosen = set(np.random.default_rng(seed).permutation(len(data))[:held].tolist()) if held > 0 else set()
    return (
        [entry for index, entry in enumerate(data) if index not in chosen],
        [entry for index, entry in enumerate(data) if index in chosen],
    )


def _check_start(start: MomentTensorPotential, level: int, species: tuple[str, ...], cutoff: float) -> None:
    from aiida_iontherm.physics.mtp.basis import basis_tables

    if (
        start.species != species
        or start.cutoff != cutoff
        or len(start.tables.scalars) != len(basis_tables(level).scalars)
    ):
        raise ValueError(
            f"the starting potential ({'-'.join(start.species)}, cutoff {start.cutoff}, "
            f"{len(start.tables.scalars)} scalars) does not fit this training: leave it out or keep its settings"
        )


def _record(
    previous: TrainingState | None,
    optimiser: LbfgsState,
    problem: _Projected,
    held_out: list[Configuration],
    weights: Weights,
) -> TrainingState:
    validation = _loss(problem.solve(optimiser.x), held_out, weights) if held_out else np.nan
    row = np.array([[optimiser.iteration, optimiser.value, validation]])
    if previous is None:
        return TrainingState(optimiser, optimiser.x, validation, row)
    better = validation < previous.best_validation
    return TrainingState(
        optimiser=optimiser,
        best_radial=optimiser.x if better else previous.best_radial,
        best_validation=validation if better else previous.best_validation,
        history=np.vstack([previous.history, row]),
    )


def _loss(potential: MomentTensorPotential, data: list[Configuration], weights: Weights) -> float:
    total = 0.0
    kernel = Kernel(potential)
    for entry in data:
        predicted = kernel.evaluate(entry.atoms)
        terms = weights[0] * (predicted.energy - entry.energy) ** 2
        terms += weights[1] * float(np.sum((predicted.forces - entry.forces) ** 2))
        if entry.stress is not None and predicted.stress is not None:
            terms += weights[2] * entry.atoms.cell.volume**2 * float(np.sum((predicted.stress - entry.stress) ** 2))
        total += terms / len(entry.atoms)
    return total / len(data)


class _Projected:
    """The loss as a function of the radial coefficients alone."""

    def __init__(self, blank: MomentTensorPotential, data: list[Configuration], weights: Weights) -> None:
        self._potential = blank
        self._data = data
        self._kernels = [TrainingKernel(blank, entry.atoms) for entry in data]
        self._counts = [
            np.array([entry.atoms.get_chemical_symbols().count(symbol) for symbol in blank.species], dtype=float)
            for entry in data
        ]
        self._root_weights = [np.sqrt(np.array(weights) / len(entry.atoms)) for entry in data]
        self._target = np.concatenate([self._target_rows(k) for k in range(len(data))])
        self._solved: tuple[Array, MomentTensorPotential, Array] | None = None

    def solve(self, radial: Array) -> MomentTensorPotential:
        """Return the potential with the best linear coefficients for these radial ones."""
        return self._solve(radial)[0]

    def objective(self, radial: Array) -> tuple[float, Array]:
        potential, residual = self._solve(radial)
        gradient = np.zeros_like(potential.radial_coeffs)
        first = 0
        for k, (entry, kernel) in enumerate(zip(self._data, self._kernels, strict=True)):
            n = len(entry.atoms)
            derivatives = kernel.derivatives(potential)
            root_e, root_f, root_s = self._root_weights[k]
            gradient += root_e * residual[first] * derivatives.energy_radial
            forces = residual[first + 1 : first + 1 + 3 * n].reshape(n, 3)
            gradient -= root_f * np.tensordot(derivatives.gradient_radial, forces, axes=2)
            first += 1 + 3 * n
            if entry.stress is not None:
                virial = residual[first : first + 9].reshape(3, 3)
                gradient += root_s * np.tensordot(derivatives.strain_radial, virial, axes=2)
                first += 9
        return float(residual @ residual) / len(self._data), 2 / len(self._data) * gradient.ravel()

    def _solve(self, radial: Array) -> tuple[MomentTensorPotential, Array]:
        if self._solved is not None and np.array_equal(self._solved[0], radial):
            return self._solved[1:]
        potential = self._potential.replace(radial_coeffs=radial.reshape(self._potential.radial_coeffs.shape))
        matrix = np.concatenate([self._design_rows(k, potential) for k in range(len(self._data))])
        scale = np.linalg.norm(matrix, axis=0)
        scale[scale == 0] = 1.0
        # Columns are compared at equal norm; directions below 1e-10 of the largest are noise of the arithmetic.
        solution = np.linalg.lstsq(matrix / scale, self._target, rcond=1e-10)[0] / scale
        n_species = len(potential.species)
        potential = potential.replace(species_coeffs=solution[:n_species], moment_coeffs=solution[n_species:])
        residual = matrix @ solution - self._target
        self._solved = (radial.copy(), potential, residual)
        return potential, residual

    def _design_rows(self, k: int, potential: MomentTensorPotential) -> Array:
        derivatives = self._kernels[k].derivatives(potential)
        root_e, root_f, root_s = self._root_weights[k]
        n_species = len(potential.species)
        blocks = [
            root_e * np.concatenate([self._counts[k], derivatives.values])[None, :],
            np.hstack([np.zeros((3 * len(self._data[k].atoms), n_species)), -root_f * _columns(derivatives.gradient)]),
        ]
        if self._data[k].stress is not None:
            blocks.append(np.hstack([np.zeros((9, n_species)), root_s * _columns(derivatives.strain)]))
        return np.concatenate(blocks)

    def _target_rows(self, k: int) -> Array:
        entry = self._data[k]
        root_e, root_f, root_s = self._root_weights[k]
        rows = [np.array([root_e * entry.energy]), root_f * entry.forces.ravel()]
        if entry.stress is not None:
            rows.append(root_s * entry.atoms.cell.volume * entry.stress.ravel())
        return np.concatenate(rows)


def _columns(derivative: Array) -> Array:
    """Turn [scalar, ...] into one column per scalar."""
    return derivative.reshape(len(derivative), -1).T
