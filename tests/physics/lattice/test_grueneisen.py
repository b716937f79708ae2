"""Crystals of atoms on bonds, whose force constants of any order are sums over bonds."""

from collections.abc import Callable

import numpy as np
import pytest
from ase import Atoms
from ase.neighborlist import neighbor_list
from phono3py import Phono3py
from phono3py.phonon3.gruneisen import Gruneisen
from phonopy import Phonopy
from phonopy.structure.atoms import PhonopyAtoms
from scipy.optimize import minimize_scalar

from aiida_iontherm.physics.heat.capacity import mode_heat_capacity
from aiida_iontherm.physics.lattice import Phonons, phonopy_from_phono3py
from aiida_iontherm.physics.lattice.grueneisen import (
    grueneisen_from_third_order,
    grueneisen_from_volumes,
    macroscopic_grueneisen,
    spectral_grueneisen,
    volume_derivative,
)

Bond = Callable[[float, float], tuple[float, float, float, float]]
"""Length at rest and now to the energy of the bond and its first three derivatives."""

GENERIC = np.array([[0.11, 0.23, 0.37], [0.05, 0.31, -0.17], [0.0, 0.0, 0.25]])


def lennard_jones(rest: float, length: float) -> tuple[float, float, float, float]:
    x = rest / length
    return (
        x**12 - 2 * x**6,
        12 * (-(x**12) + x**6) / length,
        (156 * x**12 - 84 * x**6) / length**2,
        (-2184 * x**12 + 672 * x**6) / length**3,
    )


def morse(rest: float, length: float) -> tuple[float, float, float, float]:
    # Softer for long bonds, the same range for all: no two bonds scale alike.
    depth, a = 40.0 / rest**4, 1.3
    e = np.exp(-a * (length - rest))
    return (
        depth * (1 - e) ** 2,
        2 * depth * a * (e - e**2),
        2 * depth * a**2 * (2 * e**2 - e),
        2 * depth * a**3 * (e - 4 * e**2),
    )


def scaled(cell: PhonopyAtoms, factor: float) -> PhonopyAtoms:
    return PhonopyAtoms(cell=np.array(cell.cell) * factor, scaled_positions=cell.scaled_positions, numbers=cell.numbers)


def bonds(reference: PhonopyAtoms, cutoff: float) -> list[tuple[int, int, np.ndarray, float]]:
    """Each bond once: atoms, lattice translation, length at rest (that of the reference: it is free of force)."""
    atoms = Atoms(reference.symbols, cell=reference.cell, scaled_positions=reference.scaled_positions, pbc=True)
    first, second, shift, length = neighbor_list("ijSd", atoms, cutoff)
    return [
        (i, j, s, d)
        for i, j, s, d in zip(first, second, shift, length, strict=True)
        if i < j or (i == j and tuple(s) > (0, 0, 0))
    ]


def force_constants(
    reference: PhonopyAtoms, now: PhonopyAtoms, cutoff: float, bond: Bond, third: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Second- and third-order force constants of a supercell now, its bonds at rest in the reference."""
    number = len(reference)
    fc2 = np.zeros((number, number, 3, 3))
    fc3 = np.zeros((number,) * 3 + (3,) * 3) if third else np.empty(0)
    delta = np.eye(3)
    for i, j, shift, rest in bonds(reference, cutoff):
        vector = now.positions[j] + shift @ np.array(now.cell) - now.positions[i]
        r = np.linalg.norm(vector)
        n = vector / r
        _, d1, d2, d3 = bond(rest, r)
        matrix = d2 * np.outer(n, n) + d1 / r * (delta - np.outer(n, n))
        for a, sign_a in ((i, -1), (j, 1)):
            for b, sign_b in ((i, -1), (j, 1)):
                fc2[a, b] += sign_a * sign_b * matrix
        if third:
            slope = (d2 - d1 / r) / r
            nnn = np.einsum("a,b,c->abc", n, n, n)
            mixed = sum(np.einsum(f"{x}{y},{z}->abc", delta, n) for x, y, z in ("abc", "acb", "bca"))
            cube = d3 * nnn + slope * (mixed - 3 * nnn)
            for a, sign_a in ((i, -1), (j, 1)):
                for b, sign_b in ((i, -1), (j, 1)):
                    for c, sign_c in ((i, -1), (j, 1)):
                        fc3[a, b, c] += sign_a * sign_b * sign_c * cube
    return fc2, fc3


def crystal(cell: PhonopyAtoms, at_rest: PhonopyAtoms, supercell: int, cutoff: float, bond: Bond) -> Phonopy:
    phonopy = Phonopy(cell, supercell * np.eye(3), primitive_matrix="P")
    reference = Phonopy(at_rest, supercell * np.eye(3), primitive_matrix="P").supercell
    phonopy.force_constants = force_constants(reference, phonopy.supercell, cutoff, bond)[0]
    return phonopy


def anharmonic(cell: PhonopyAtoms, supercell: int, cutoff: float, bond: Bond) -> Phono3py:
    phono3py = Phono3py(cell, supercell * np.eye(3), primitive_matrix="P")
    fc2, fc3 = force_constants(phono3py.supercell, phono3py.supercell, cutoff, bond, third=True)
    phono3py.fc2, phono3py.fc3 = fc2, fc3
    return phono3py


FCC = PhonopyAtoms(cell=2.7 * (1 - np.eye(3)), scaled_positions=[[0, 0, 0]], symbols=["Ar"])
POLAR = PhonopyAtoms(cell=np.diag([4.0, 4.0, 4.4]), scaled_positions=[[0, 0, 0], [0.5, 0.5, 0.42]], symbols=["Ag", "I"])
POLAR_CUTOFF = 4.7


@pytest.fixture(scope="module")
def polar() -> Phono3py:
    """Two atoms, P4mm, the height of the second is free: it moves when the volume changes."""
    return anharmonic(POLAR, 3, POLAR_CUTOFF, morse)


def relaxed(factor: float) -> PhonopyAtoms:
    """The polar crystal with its lattice scaled, its free coordinate where the bonds want it."""
    listed = bonds(POLAR, POLAR_CUTOFF)

    def moved(height: float) -> PhonopyAtoms:
        return PhonopyAtoms(
            cell=np.array(POLAR.cell) * factor, scaled_positions=[[0, 0, 0], [0.5, 0.5, height]], symbols=["Ag", "I"]
        )

    def energy(height: float) -> float:
        now = moved(height)
        lengths = [
            np.linalg.norm(now.positions[j] + shift @ np.array(now.cell) - now.positions[i])
            for i, j, shift, _ in listed
        ]
        return sum(morse(rest, r)[0] for (_, _, _, rest), r in zip(listed, lengths, strict=True))

    return moved(minimize_scalar(energy, bracket=(0.41, 0.43), tol=1e-12).x)


def test_scaled_force_constants_have_one_parameter(cucl):
    """Phi ~ V^(-2 g) is w ~ V^(-g): gamma = g for all modes, across all crossings and degeneracies."""
    phonons, g = Phonons.from_phonopy(cucl, (3, 3, 3)), 1.7
    others = []
    for factor in (0.999, 1.001):
        other = Phonopy(scaled(cucl.unitcell, factor), cucl.supercell_matrix, primitive_matrix=cucl.primitive_matrix)
        other.force_constants = cucl.force_constants * factor ** (-6 * g)
        others.append(other)
    found = grueneisen_from_volumes(phonons, *others)
    at_gamma = np.isnan(found)
    assert at_gamma.sum() == 3
    # Central differences: (2 g x 0.003)^2/6 = 2e-5.
    np.testing.assert_allclose(found[~at_gamma], g, rtol=3e-5)
    np.testing.assert_allclose(macroscopic_grueneisen(phonons, found, [10.0, 300.0]), g, rtol=3e-5)
    spectral = spectral_grueneisen(phonons, found, np.linspace(0, 10, 6), 300.0)
    np.testing.assert_allclose(spectral[np.isfinite(spectral)], g, rtol=3e-5)


def test_point_charges_have_one_half(nacl):
    """Force constants ~ 1/V like those of point charges: the non-analytical term scales with them, gamma = 1/2."""
    phonons = Phonons.from_phonopy(nacl, qpoints=GENERIC)
    others = []
    for factor in (0.999, 1.001):
        other = Phonopy(scaled(nacl.unitcell, factor), nacl.supercell_matrix, primitive_matrix=nacl.primitive_matrix)
        other.force_constants = nacl.force_constants * factor**-3
        other.nac_params = nacl.nac_params
        others.append(other)
    # Central differences 2e-6; the Ewald sum of phonopy has a cutoff of its own at each volume.
    np.testing.assert_allclose(grueneisen_from_volumes(phonons, *others), 0.5, rtol=1e-4)


def test_lennard_jones_at_the_zone_boundary():
    """Nearest neighbours at the minimum: r phi''' = -21 phi''. At X by hand, gamma = 10/3 and, twice, 3.

    With k = phi'', dPhi/d ln V of a bond is k (-7 n n + (1 - n n)/3); the sum over the bonds with sin^2(q r/2) gives
    D = 8 k, dD = -160 k/3 for the longitudinal mode and D = 4 k, dD = -24 k for the transverse ones.
    """
    phono3py = anharmonic(FCC, 3, 4.0, lennard_jones)
    x = [[0.5, 0.5, 0.0]]
    phonons = Phonons.from_phonopy(phonopy_from_phono3py(phono3py), qpoints=x)
    # Exact derivatives: rounding.
    np.testing.assert_allclose(grueneisen_from_third_order(phonons, phono3py)[0], [3, 3, 10 / 3], rtol=1e-9)
    others = [crystal(scaled(FCC, factor), FCC, 3, 4.0, lennard_jones) for factor in (0.9995, 1.0005)]
    # Differences over 0.15 % of the volume to each side: (20 x 0.0015)^2/6 of third derivatives.
    np.testing.assert_allclose(grueneisen_from_volumes(phonons, *others)[0], [3, 3, 10 / 3], rtol=5e-4)


def test_both_routes_agree_where_atoms_relax(polar):
    phonons = Phonons.from_phonopy(phonopy_from_phono3py(polar), qpoints=GENERIC)
    third = grueneisen_from_third_order(phonons, polar)
    step = 2e-4
    smaller, larger = (crystal(relaxed(factor), POLAR, 3, POLAR_CUTOFF, morse) for factor in (1 - step, 1 + step))
    # Central differences of the second order in the step, relative to parameters of order one.
    np.testing.assert_allclose(grueneisen_from_volumes(phonons, smaller, larger), third, atol=1e-4)
    clamped = [crystal(scaled(POLAR, factor), POLAR, 3, POLAR_CUTOFF, morse) for factor in (1 - step, 1 + step)]
    # The test would not see the relaxation if it changed nothing.
    assert np.abs(grueneisen_from_volumes(phonons, *clamped) - third).max() > 0.05


def test_third_order_is_phono3pys(polar):
    phonons = Phonons.from_phonopy(phonopy_from_phono3py(polar), qpoints=GENERIC)
    theirs = Gruneisen(polar.fc2, polar.fc3, polar.supercell, polar.primitive)
    theirs.set_qpoints(GENERIC)
    theirs.run()
    reference = np.trace(theirs.gruneisen_parameters, axis1=-2, axis2=-1) / 3
    # Single elements in a degenerate pair depend on the basis: the last point lies on the four-fold axis.
    np.testing.assert_allclose(grueneisen_from_third_order(phonons, polar)[:2], reference[:2], atol=1e-8)
    np.testing.assert_allclose(grueneisen_from_third_order(phonons, polar)[2].sum(), reference[2].sum(), atol=1e-8)


def test_compact_force_constants_are_the_same(polar):
    compact = Phono3py(POLAR, polar.supercell_matrix, primitive_matrix="P")
    rows = polar.primitive.p2s_map
    compact.fc2, compact.fc3 = polar.fc2[rows].copy(), polar.fc3[rows].copy()
    np.testing.assert_allclose(volume_derivative(compact), volume_derivative(polar), atol=1e-12)


def test_translations_stay_free(polar):
    """The derivative of force constants that obey the sum rule obeys it."""
    derivative = volume_derivative(polar)
    np.testing.assert_allclose(derivative.sum(axis=1), 0, atol=1e-10 * np.abs(derivative).max())


def test_silicon_of_real_force_constants(silicon):
    phonons = Phonons.from_phonopy(phonopy_from_phono3py(silicon), (4, 4, 4))
    if silicon.fc3 is None:
        silicon.produce_fc3()
    found = grueneisen_from_third_order(phonons, silicon)
    # Known of silicon: negative parameters of the transverse acoustic modes at X and L, +1 of the optical ones.
    assert np.nanmin(found) == pytest.approx(-1.4, abs=0.5)
    spectral = spectral_grueneisen(phonons, found, [0.0, 5.0, 17.0])
    assert spectral[0] < 0 < spectral[1]
    cold, hot = macroscopic_grueneisen(phonons, found, [60.0, 1000.0])
    # Silicon contracts on heating at 60 K and expands at 1000 K.
    assert cold < 0 < hot
    # By hand: mean weighted with heat capacities.
    kept = np.isfinite(found)
    weight = np.where(kept, mode_heat_capacity(np.where(kept, phonons.frequencies_thz, 1.0), 1000.0), 0)
    weight *= phonons.weights[:, None]
    assert hot == pytest.approx(np.sum(weight * np.nan_to_num(found)) / weight.sum(), rel=1e-12)


def test_bad_input_is_refused(cucl, nacl, polar):
    phonons = Phonons.from_phonopy(cucl, qpoints=GENERIC)
    with pytest.raises(ValueError, match="larger volume"):
        grueneisen_from_volumes(phonons, cucl, cucl)
    with pytest.raises(ValueError, match="the atoms at another volume"):
        grueneisen_from_volumes(phonons, nacl, nacl)
    bare = Phonopy(cucl.unitcell, cucl.supercell_matrix, primitive_matrix=cucl.primitive_matrix)
    with pytest.raises(ValueError, match="no force constants"):
        grueneisen_from_volumes(phonons, bare, cucl)
    with pytest.raises(ValueError, match="the atoms of the third order"):
        grueneisen_from_third_order(phonons, polar)
    with pytest.raises(ValueError, match="second and third order"):
        volume_derivative(Phono3py(POLAR, polar.supercell_matrix, primitive_matrix="P"))
    parameters = np.ones_like(phonons.frequencies_thz)
    with pytest.raises(ValueError, match="do not match"):
        macroscopic_grueneisen(phonons, parameters[:1], [300.0])
    with pytest.raises(ValueError, match="must be positive"):
        macroscopic_grueneisen(phonons, parameters, [0.0])
    with pytest.raises(ValueError, match="is excited"):
        macroscopic_grueneisen(phonons, parameters, [0.01])
    with pytest.raises(ValueError, match="no mode has"):
        spectral_grueneisen(phonons, np.nan * parameters, [0.0, 1.0])
    with pytest.raises(ValueError, match="ascending"):
        spectral_grueneisen(phonons, parameters, [1.0, 0.0])
