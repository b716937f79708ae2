"""Self-consistent harmonic force constants at temperature.

The harmonic crystal whose own thermal displacements, with the forces of the real potential, give back its force
constants by a least-squares fit. For Gaussian displacements the fit is the thermal mean of the second derivative of
the potential, Phi = <d2V/du2>, the stationary point of the Gibbs-Bogoliubov free energy

    F = F_harmonic(Phi) + < V - u Phi u / 2 >

(Hooton, Phil. Mag. 46, 422 (1955); Errea, Calandra and Mauri, Phys. Rev. B 89, 064302 (2014)). hiphive's
`self_consistent_harmonic_model` takes new random numbers in each iteration and stops after a given number of them.
Here the same numbers, in pairs of opposite sign, serve all iterations: the map is smooth and is iterated to its fixed
point, and odd terms of the potential cancel exactly. What is left of the sampling is in the standard error.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator
from numpy.typing import NDArray

from aiida_iontherm.physics.lattice.fc_basis import ForceConstantBasis
from aiida_iontherm.physics.lattice.fc_modes import SupercellModes
from aiida_iontherm.physics.lattice.force_constants import EffectiveForceConstants, fit_in_basis
from aiida_iontherm.physics.statistics import jackknife

_FIRST_DISPLACEMENT = 0.03  # Angstrom, root mean square of a component: harmonic for most crystals
_FLOOR_THZ = 0.1  # softer and imaginary modes move like one of this frequency until the iteration has stiffened them
_BLOCKS = 4


class NotSelfConsistentError(RuntimeError):
    """No harmonic crystal was found that reproduces itself."""


@dataclass(frozen=True)
class SelfConsistentPhonons:
    """The self-consistent harmonic crystal.

    Attributes
    ----------
    temperature
        In K.
    fc2
        Compact force constants in eV/Angstrom^2 [n, N, 3, 3].
    p2s
        Supercell index of each primitive atom [n].
    parameters
        Free parameters of `basis`, to start the next temperature from [p].
    basis
        The parametrisation.
    modes
        Frequencies and vectors of the supercell.
    standard_error_thz
        Root mean square standard error of the frequencies by the finite sample (jackknife over blocks of pairs).
    free_energy_ev
        Variational free energy per primitive cell, against the potential energy of the ideal sites.
    change_thz
        Root mean square change of the frequencies by each fit, before mixing [iterations].
    mean_force_ev_per_angstrom
        Largest mean force on an atom of the primitive cell: not zero where sites shift with temperature.
    """

    temperature: float
    fc2: NDArray[np.float64]
    p2s: NDArray[np.int64]
    parameters: NDArray[np.float64]
    basis: ForceConstantBasis
    modes: SupercellModes
    standard_error_thz: float
    free_energy_ev: float
    change_thz: NDArray[np.float64]
    mean_force_ev_per_angstrom: float


@dataclass(frozen=True)
class _Sample:
    """Displacements in Angstrom [m, N, 3], forces in eV/Angstrom [m, N, 3], energies against the ideal sites in eV."""

    displacements: NDArray[np.float64]
    forces: NDArray[np.float64]
    energies: NDArray[np.float64]


def self_consistent_phonons(
    primitive: Atoms,
    supercell: Atoms,
    calculator: Calculator,
    temperature: float,
    cutoff: float,
    *,
    pairs: int = 20,
    classical: bool = False,
    mixing: float = 0.7,
    tolerance_thz: float = 0.01,
    tolerance_ev: float = 1e-3,
    max_iterations: int = 50,
    start: NDArray[np.float64] | None = None,
    seed: int = 0,
    symprec: float = 1e-5,
    progress: Callable[[int, float], None] | None = None,
) -> SelfConsistentPhonons:
    """Iterate harmonic force constants to self-consistency at one temperature.

    Parameters
    ----------
    primitive, supercell
        Primitive cell and supercell of ideal sites, atoms in phonopy's order.
    calculator
        ASE calculator of forces and energies of the supercell.
    temperature
        In K.
    cutoff
        Of the second order, in Angstrom.
    pairs
        Number of pairs of opposite displacements in each iteration.
    classical
        Classical instead of quantum amplitudes.
    mixing
        Share of the new force constants in the next ones, above 0 and at most 1.
    tolerance_thz
        Root mean square change of the frequencies by a fit that ends the iteration.
    tolerance_ev
        Change of the free energy per primitive cell, in eV, that must be met as well.
    max_iterations
        Fits after which the search is given up.
    start
        Parameters to start from, for instance of a neighbouring temperature; ``None`` for a fit to small
        displacements.
    seed
        Of the random numbers.
    symprec
        Tolerance of the symmetry search in Angstrom.
    progress
        Called after each fit with its number and the change of the frequencies in THz.

    Raises
    ------
    NotSelfConsistentError
        If the tolerances are not met, or imaginary modes remain: the structure is unstable at this temperature.
    ValueError
        If an argument is out of range, forces are not finite, or the sample is too small for the fit.
    """
    if not 0 < mixing <= 1:
        raise ValueError(f"mixing must be above 0 and at most 1, not {mixing:g}")
    if not temperature >= 0 or (classical and temperature == 0):
        raise ValueError(f"the temperature must be positive (zero only for a quantum crystal), not {temperature:g} K")
    if pairs < _BLOCKS:
        raise ValueError(f"at least {_BLOCKS} pairs of displacements are needed, not {pairs}")
    basis = ForceConstantBasis(primitive, supercell, (cutoff,), symprec)
    masses = supercell.get_masses()
    half = np.random.default_rng(seed).normal(size=(pairs, 3 * len(supercell)))
    deviates = np.stack([half, -half], axis=1).reshape(2 * pairs, -1)

    def modes_of(parameters: NDArray[np.float64]) -> SupercellModes:
        return SupercellModes.from_force_constants(basis.arrays(parameters)[0], basis.p2s, basis.translations, masses)

    if start is None:
        sample = _sample(supercell, calculator, _FIRST_DISPLACEMENT * deviates.reshape(2 * pairs, -1, 3))
        parameters = _fit(basis, sample).parameters
    elif start.shape == (basis.n_parameters,):
        parameters = start
    else:
        raise ValueError(f"start has {start.size} parameters, the basis of this cutoff {basis.n_parameters}")
    modes = modes_of(parameters)
    changes: list[float] = []
    energy = np.inf
    for iteration in range(1, max_iterations + 1):
        moved = modes.displacements(deviates, temperature, classical=classical, floor_thz=_FLOOR_THZ)
        sample = _sample(supercell, calculator, moved)
        fit = _fit(basis, sample)
        fitted = modes_of(fit.parameters)
        changes.append(_rms(fitted.frequencies_thz - modes.frequencies_thz))
        if progress is not None:
            progress(iteration, changes[-1])
        stable = bool(modes.frequencies_thz[0] > 0)
        before = energy
        energy = _free_energy(basis, modes, parameters, sample, temperature, classical) if stable else np.inf
        if stable and changes[-1] < tolerance_thz and abs(energy - before) < tolerance_ev:
            return SelfConsistentPhonons(
                temperature=float(temperature),
                fc2=basis.arrays(parameters)[0],
                p2s=basis.p2s,
                parameters=parameters,
                basis=basis,
                modes=modes,
                standard_error_thz=_rms(jackknife([modes_of(replica).frequencies_thz for replica in fit.replicas])),
                free_energy_ev=energy,
                change_thz=np.array(changes),
                mean_force_ev_per_angstrom=_mean_force(basis, sample.forces),
            )
        parameters = (1 - mixing) * parameters + mixing * fit.parameters
        modes = modes_of(parameters)
    if modes.frequencies_thz[0] <= 0:
        raise NotSelfConsistentError(
            f"imaginary modes down to {modes.frequencies_thz[0]:.2f} THz remain at {temperature:g} K after "
            f"{max_iterations} iterations: the structure is unstable, try a higher temperature or another structure"
        )
    raise NotSelfConsistentError(
        f"frequencies still change by {changes[-1]:.3g} THz after {max_iterations} iterations (tolerance "
        f"{tolerance_thz:g}): take a smaller mixing, more pairs of displacements or more iterations"
    )


def _sample(supercell: Atoms, calculator: Calculator, displacements: NDArray[np.float64]) -> _Sample:
    """Evaluate the potential at each set of displacements."""
    atoms = supercell.copy()
    atoms.calc = calculator
    ideal = atoms.get_potential_energy()
    forces, energies = [], []
    for moved in displacements:
        atoms.positions = supercell.positions + moved
        forces.append(atoms.get_forces())
        energies.append(atoms.get_potential_energy() - ideal)
    if not (np.isfinite(forces).all() and np.isfinite(energies).all()):
        raise ValueError("energies or forces of displaced atoms are not finite: the potential fails at this amplitude")
    return _Sample(displacements, np.array(forces), np.array(energies))


def _fit(basis: ForceConstantBasis, sample: _Sample) -> EffectiveForceConstants:
    return fit_in_basis(basis, sample.displacements, sample.forces, fit_method="least-squares", blocks=_BLOCKS)


def _free_energy(
    basis: ForceConstantBasis,
    modes: SupercellModes,
    parameters: NDArray[np.float64],
    sample: _Sample,
    temperature: float,
    classical: bool,
) -> float:
    """Variational free energy per primitive cell in eV."""
    harmonic = -np.sum(basis.forces(parameters, sample.displacements) * sample.displacements, axis=(1, 2)) / 2
    excess = float(np.mean(sample.energies - harmonic))
    return (modes.free_energy(temperature, classical=classical) + excess) / len(basis.translations)


def _mean_force(basis: ForceConstantBasis, forces: NDArray[np.float64]) -> float:
    copies = forces.mean(axis=0)[basis.translations[:, basis.p2s]]
    return float(np.linalg.norm(copies.mean(axis=0), axis=1).max())


def _rms(values: NDArray[np.float64]) -> float:
    return float(np.sqrt(np.mean(values**2)))
