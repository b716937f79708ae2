"""Two potentials on one crystal: by how much force constants and frequencies differ, where that is known."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.lj import LennardJones

from aiida_iontherm.physics.lattice.harmonic_change import harmonic_change


def argon() -> Atoms:
    return bulk("Ar", "fcc", a=5.3, cubic=True)


def lennard_jones(strength: float = 1.0) -> LennardJones:
    return LennardJones(epsilon=0.0104 * strength, sigma=3.4, rc=6.0, ro=5.0, smooth=True)


def test_equal_potentials_do_not_differ():
    change = harmonic_change(argon(), (1, 1, 1), lennard_jones(), lennard_jones())
    # Acoustic modes at Gamma are the square root of rounding, the same in both.
    assert change.force_constants < 1e-12
    assert change.frequencies < 1e-6


@pytest.mark.parametrize("factor", [1.01, 0.8])
def test_a_stiffer_potential_by_its_factor(factor):
    """Force constants are proportional to the strength, frequencies to its root."""
    primitive = bulk("Ar", "fcc", a=5.3)
    change = harmonic_change(primitive, (2, 2, 2), lennard_jones(1.0), lennard_jones(factor))
    assert change.force_constants == pytest.approx(abs(1 - 1 / factor), rel=1e-9)
    # Acoustic modes at Gamma are zero but for the root of rounding.
    assert change.frequencies == pytest.approx(abs(1 - factor**-0.5), rel=1e-5)
    (weaker, stronger) = (harmonic_change(argon(), (1, 1, 1), lennard_jones(0.5), lennard_jones(f)) for f in (1, 2))
    # Differences of the roots of 1 and 2 to that of 1/2.
    assert stronger.rms_change_thz / weaker.rms_change_thz == pytest.approx(
        (2**0.5 - 0.5**0.5) / (1 - 0.5**0.5), rel=1e-5
    )


class OnSite(Calculator):
    """Every atom on a spring of its own, V = k u^2 / 2 + c u^4 / 4 along each axis: forces known in closed form."""

    implemented_properties = ["forces"]  # noqa: RUF012

    def __init__(self, sites, quartic):
        super().__init__()
        self.sites, self.quartic = sites, quartic

    def calculate(self, atoms=None, properties=("forces",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        moved = self.atoms.positions - self.sites
        self.results = {"forces": -2.0 * moved - self.quartic * moved**3}


@pytest.mark.parametrize("displacement", [0.05, 0.2])
def test_even_anharmonicity_shows_at_the_displacement(displacement):
    """The force at u is k u + c u^3: an effective spring of k + c u^2, if u is along an axis, as it is in this cell."""
    sites = argon().positions
    change = harmonic_change(argon(), (1, 1, 1), OnSite(sites, 0.0), OnSite(sites, 5.0), displacement)
    added = 5.0 * displacement**2
    assert change.force_constants == pytest.approx(added / (2.0 + added), rel=1e-9)


def test_forces_that_are_not_finite_are_refused():
    broken = lennard_jones(np.nan)
    with pytest.raises(ValueError, match="not finite: the potential is damaged"):
        harmonic_change(argon(), (1, 1, 1), lennard_jones(), broken)


def test_a_potential_without_forces_is_refused():
    with pytest.raises(ValueError, match="the potential is not trained"):
        harmonic_change(argon(), (1, 1, 1), lennard_jones(), lennard_jones(0.0))
