"""Self-consistent phonons of a simple cubic crystal of quartic springs, whose mean field has a closed form.

Bonds to the six nearest neighbours with V = k |d|^2 / 2 + g |d|^4 / 4, d the difference of displacements. With s the
mean square of one component of d, the mean curvature of a bond is K = k + 5 g s, the same in all directions. A crystal
of such springs falls into three scalar lattices.
"""

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from scipy.optimize import brentq

from aiida_iontherm.physics.lattice.self_consistent_phonons import NotSelfConsistentError, self_consistent_phonons
from aiida_iontherm.physics.units import AMU, ELEMENTARY_CHARGE, H_EV_THZ, KB_EV

EDGE, REPEATS, MASS = 3.0, 4, 20.0
SITES = REPEATS**3


class QuarticSprings(Calculator):
    implemented_properties = ["energy", "forces"]  # noqa: RUF012

    def __init__(self, stiffness: float, quartic: float, sites: np.ndarray) -> None:
        super().__init__()
        self.stiffness, self.quartic, self.sites = stiffness, quartic, sites
        grid = np.rint(sites / EDGE).astype(int)
        self.index = np.empty((REPEATS,) * 3, dtype=int)
        self.index[tuple(grid.T)] = np.arange(len(sites))

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        moved = self.atoms.positions - self.sites
        forces, energy = np.zeros_like(moved), 0.0
        for axis in range(3):
            partner = np.empty(len(moved), dtype=int)
            partner[self.index.ravel()] = np.roll(self.index, -1, axis=axis).ravel()
            bond = moved[partner] - moved
            square = np.sum(bond**2, axis=1)
            energy += np.sum(self.stiffness * square / 2 + self.quartic * square**2 / 4)
            pull = (self.stiffness + self.quartic * square)[:, None] * bond
            forces += pull
            np.add.at(forces, partner, -pull)
        self.results = {"energy": float(energy), "forces": forces}


@pytest.fixture(scope="module")
def crystal() -> tuple[Atoms, Atoms]:
    cell = Atoms("Po", cell=EDGE * np.eye(3), pbc=True)
    supercell = cell.repeat(REPEATS)
    supercell.set_masses([MASS] * SITES)
    return cell, supercell


def lattice_shape() -> np.ndarray:
    """Squared frequencies of one scalar lattice in units of K / m, without the translation."""
    turns = 2 - 2 * np.cos(2 * np.pi * np.arange(REPEATS) / REPEATS)
    return (turns[:, None, None] + turns[None, :, None] + turns[None, None]).ravel()[1:]


def frequencies(curvature: float) -> np.ndarray:
    angular = np.sqrt(curvature * lattice_shape() / MASS * ELEMENTARY_CHARGE * 1e20 / AMU)
    return np.sort(np.repeat(angular / (2 * np.pi * 1e12), 3))


def classical_spread(curvature: float, temperature: float) -> float:
    """s by equipartition: 3 N bonds of K s / 2 hold (N - 1) kT / 2."""
    return KB_EV * temperature * (SITES - 1) / (3 * SITES * curvature)


def quantum_spread(curvature: float, temperature: float) -> float:
    """S from half the mean energy of each mode, which is potential: 3 N K s / 2 = sum h f coth(h f / 2kT) / 4."""
    quanta = H_EV_THZ * frequencies(curvature)[::3]
    return np.sum(quanta / np.tanh(quanta / (2 * KB_EV * temperature))) / (6 * SITES * curvature)


def mean_field(stiffness: float, quartic: float, temperature: float, spread) -> float:
    return brentq(lambda c: c - stiffness - 5 * quartic * spread(c, temperature), 1e-3, 1e3)


@pytest.mark.parametrize(("stiffness", "quartic"), [(1.0, 5.0), (-0.5, 20.0)])
def test_classical_crystal_is_the_mean_field_solution(crystal, stiffness, quartic):
    """Also where the harmonic crystal has imaginary modes everywhere and temperature alone holds it."""
    supercell = crystal[1]
    calculator = QuarticSprings(stiffness, quartic, supercell.positions)
    result = self_consistent_phonons(*crystal, calculator, 600.0, 1.2 * EDGE, pairs=40, classical=True)
    curvature = mean_field(stiffness, quartic, 600.0, classical_spread)
    closed = (stiffness + np.sqrt(stiffness**2 + 20 * quartic * classical_spread(1.0, 600.0))) / 2
    assert curvature == pytest.approx(closed)
    expected = frequencies(curvature)
    # 80 correlated snapshots of 576 bond components: curvature to about 1 %, so frequencies to 0.5 %.
    assert np.sqrt(np.mean((result.modes.frequencies_thz - expected) ** 2)) < 0.015 * expected.mean()
    assert result.standard_error_thz < 0.02 * expected.mean()
    # <V - u Phi u / 2> per site: three bonds of (k - K) 3 s / 2 + g 15 s^2 / 4; the sample's own error is 2 % of it.
    spread = classical_spread(curvature, 600.0)
    excess = 3 * (1.5 * (stiffness - curvature) * spread + 3.75 * quartic * spread**2)
    harmonic = KB_EV * 600 * np.log(H_EV_THZ * expected / (KB_EV * 600)).sum() / SITES
    assert result.free_energy_ev == pytest.approx(harmonic + excess, abs=0.02 * abs(excess) + 0.002)
    assert result.mean_force_ev_per_angstrom < 1e-10  # pairs of opposite displacements
    assert result.change_thz[-1] < 0.01


def test_quantum_crystal_is_the_mean_field_solution(crystal):
    """At 20 K zero-point motion stiffens the springs; a classical crystal would hardly feel them."""
    calculator = QuarticSprings(1.0, 30.0, crystal[1].positions)
    result = self_consistent_phonons(*crystal, calculator, 20.0, 1.2 * EDGE, pairs=40)
    curvature = mean_field(1.0, 30.0, 20.0, quantum_spread)
    assert curvature > 1.2 * mean_field(1.0, 30.0, 20.0, classical_spread)
    expected = frequencies(curvature)
    assert np.sqrt(np.mean((result.modes.frequencies_thz - expected) ** 2)) < 0.015 * expected.mean()  # as above


def test_harmonic_crystal_is_its_own_solution(crystal):
    calculator = QuarticSprings(1.0, 0.0, crystal[1].positions)
    result = self_consistent_phonons(*crystal, calculator, 300.0, 1.2 * EDGE, pairs=4)
    # Every fit is exact: the first iteration changes nothing, the second confirms the free energy.
    np.testing.assert_allclose(result.modes.frequencies_thz, frequencies(1.0), rtol=1e-6)
    assert len(result.change_thz) == 2
    quanta = H_EV_THZ * frequencies(1.0)
    free = np.sum(quanta / 2 + KB_EV * 300 * np.log(1 - np.exp(-quanta / (KB_EV * 300)))) / SITES
    assert result.free_energy_ev == pytest.approx(free, abs=1e-7)
    again = self_consistent_phonons(
        *crystal, calculator, 300.0, 1.2 * EDGE, pairs=4, start=result.parameters, seed=1, mixing=1.0
    )
    np.testing.assert_allclose(again.fc2, result.fc2, atol=1e-8)  # of order one


def test_no_solution_is_an_error(crystal):
    sites = crystal[1].positions
    with pytest.raises(NotSelfConsistentError, match="imaginary modes down to -"):
        self_consistent_phonons(
            *crystal, QuarticSprings(-1.0, 0.0, sites), 300.0, 1.2 * EDGE, pairs=4, max_iterations=3
        )
    with pytest.raises(NotSelfConsistentError, match="still change"):
        self_consistent_phonons(
            *crystal, QuarticSprings(1.0, 5.0, sites), 300.0, 1.2 * EDGE, pairs=4, max_iterations=2, mixing=0.1
        )


def test_bad_input_is_refused(crystal):
    calculator = QuarticSprings(1.0, 0.0, crystal[1].positions)
    for options, message in (
        ({"mixing": 0.0}, "mixing"),
        ({"pairs": 2}, "at least 4 pairs"),
        ({"start": np.zeros(99)}, "start has 99"),
    ):
        with pytest.raises(ValueError, match=message):
            self_consistent_phonons(*crystal, calculator, 300.0, 1.2 * EDGE, **options)
    with pytest.raises(ValueError, match="temperature"):
        self_consistent_phonons(*crystal, calculator, 0.0, 1.2 * EDGE, classical=True)
    with pytest.raises(ValueError, match="not finite"):
        self_consistent_phonons(*crystal, QuarticSprings(1.0, np.nan, crystal[1].positions), 300.0, 1.2 * EDGE, pairs=4)
