"""Sound velocities: against elastic constants of the same forces, the velocity operator, and measurements."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.lj import LennardJones
from phonopy import Phonopy
from phonopy.structure.atoms import PhonopyAtoms

from aiida_iontherm.physics.heat.elastic import christoffel_velocities, debye_mean_velocity
from aiida_iontherm.physics.lattice.long_waves import WAVEVECTOR_PER_A, acoustic_velocities, sound_velocities
from aiida_iontherm.physics.lattice.phonons import Phonons
from aiida_iontherm.physics.units import AMU

DIRECTIONS = np.array([[1, 0, 0], [1, 1, 0], [1, 1, 1], [1, 2, 3]], dtype=float)


def potential() -> LennardJones:
    """Argon; it ends smoothly at 7 Angstrom, less than half the supercell, so that no image is counted twice."""
    return LennardJones(sigma=3.4, epsilon=0.0104, rc=7.0, ro=5.5, smooth=True)


@pytest.fixture(scope="module")
def argon() -> Atoms:
    """Cubic cell without stress: only then are sound velocities those of the elastic constants."""
    low, high = 5.0, 5.5
    for _ in range(40):
        middle = (low + high) / 2
        atoms = bulk("Ar", "fcc", a=middle, cubic=True)
        atoms.calc = potential()
        low, high = (middle, high) if atoms.get_stress()[0] < 0 else (low, middle)
    return atoms


@pytest.fixture(scope="module")
def argon_phonons(argon: Atoms) -> Phonopy:
    cell = PhonopyAtoms(cell=argon.cell, scaled_positions=argon.get_scaled_positions(), numbers=argon.numbers)
    phonopy = Phonopy(cell, np.diag([3, 3, 3]), primitive_matrix="F")
    phonopy.generate_displacements(distance=1e-3)
    forces = []
    for supercell in phonopy.supercells_with_displacements:
        atoms = Atoms(numbers=supercell.numbers, cell=supercell.cell, positions=supercell.positions, pbc=True)
        atoms.calc = potential()
        forces.append(atoms.get_forces())
    phonopy.forces = forces
    phonopy.produce_force_constants()
    phonopy.symmetrize_force_constants(show_drift=False)
    return phonopy


@pytest.fixture(scope="module")
def stiffness(argon: Atoms) -> np.ndarray:
    """Elastic constants in GPa from stresses of strained cells; no atom of fcc has to give way."""
    columns = []
    for voigt, (i, j) in enumerate([(0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1)]):
        strain = np.zeros((3, 3))
        strain[i, j] += 5e-4
        strain[j, i] += 5e-4
        stresses = []
        for sign in (1, -1):
            atoms = argon.copy()
            atoms.set_cell(argon.cell.array @ (np.eye(3) + sign * strain), scale_atoms=True)
            atoms.calc = potential()
            stresses.append(atoms.get_stress())
        # engineering strain of a shear and the doubled diagonal: both are 1e-3
        columns.append((stresses[0] - stresses[1]) / 2e-3)
        assert voigt < 6
    return np.array(columns).T * 160.21766


def test_waves_of_the_elastic_constants(argon: Atoms, argon_phonons: Phonopy, stiffness: np.ndarray) -> None:
    density = argon.get_masses().sum() * AMU / (argon.get_volume() * 1e-30)
    expected = christoffel_velocities(stiffness, density, DIRECTIONS)
    velocities, shares = acoustic_velocities(argon_phonons, DIRECTIONS)
    # finite displacements of 1e-3 Angstrom and strains of 5e-4 leave 1e-4 of the force constants
    np.testing.assert_allclose(velocities, expected, rtol=5e-4)
    np.testing.assert_allclose(shares[:3], 1, atol=1e-6)  # along axes of symmetry waves are purely longitudinal
    assert shares[3] < 0.9999
    mean = sound_velocities(argon_phonons)
    assert mean.debye_m_s == pytest.approx(debye_mean_velocity(stiffness, density), rel=1e-3)  # 128 directions
    assert mean.lowest_m_s < mean.transverse_m_s < mean.debye_m_s < mean.longitudinal_m_s < mean.highest_m_s


def test_group_velocities_are_the_same(nacl: Phonopy) -> None:
    """For long waves the energy of a wave moves along q at its phase velocity; with the non-analytical term."""
    direction = np.array([0.3, 0.5, 0.81])
    q = WAVEVECTOR_PER_A * direction / np.linalg.norm(direction) @ np.array(nacl.primitive.cell).T
    phonons = Phonons.from_phonopy(nacl, qpoints=[q])
    group = np.einsum("ass,a->s", phonons.velocity_operator[0].real, direction / np.linalg.norm(direction))[:3]
    velocities, _ = acoustic_velocities(nacl, [direction])
    # they differ by the curvature, some 1e-5 of waves of 100 cells
    np.testing.assert_allclose(np.sort(velocities[0]), group, rtol=1e-4)


def test_what_breaks_rotational_invariance_is_left_out(wurtzite: Phonopy) -> None:
    """AgI has no centre of inversion: a term linear in q is left in its bands, which fades for shorter waves."""
    direction = np.array([0.3, 0.5, 0.81]) / np.linalg.norm([0.3, 0.5, 0.81])
    velocities, _ = acoustic_velocities(wurtzite, [direction])

    def of_bands(length: float) -> np.ndarray:
        q = length * direction @ np.array(wurtzite.primitive.cell).T
        return wurtzite.run_qpoints([q]).frequencies[0, :3] / length * 100

    shorter, longer = (np.abs(of_bands(length) / np.sort(velocities[0]) - 1).max() for length in (0.004, 0.0005))
    # 0.1 per cent of curvature under the optical mode at 0.6 THz
    assert shorter < 0.002
    assert longer > 0.02


def test_silicon_and_rock_salt_against_experiment(silicon, nacl: Phonopy) -> None:
    """Si: 8433 m/s along [100], 9133 along [110] (McSkimin, J. Appl. Phys. 24, 988, 1953).

    NaCl at 4 K: C11 57.3, C44 13.3 GPa, 2220 kg/m^3 (Lewis et al., Phys. Rev. 161, 877, 1967): 5080 and 2450 m/s.
    """
    from aiida_iontherm.physics.lattice.conversion import phonopy_from_phono3py

    directions = [[1, 0, 0], [1, 1, 0]]
    silicon_v, _ = acoustic_velocities(phonopy_from_phono3py(silicon), directions)
    # PBE is some 5 per cent too soft.
    assert silicon_v[0, 2] == pytest.approx(8433, rel=0.05)
    assert silicon_v[1, 2] == pytest.approx(9133, rel=0.07)
    # The supercell of 64 atoms cuts off the long-ranged forces that stiffen the transverse waves of silicon (5843 m/s
    # measured): they come out too slow, never too fast.
    assert 0.75 * 5843 < silicon_v[0, 0] < 5843
    salt, _ = acoustic_velocities(nacl, directions)
    assert salt[0, 2] == pytest.approx(5080, rel=0.05)
    assert salt[0, 0] == pytest.approx(2450, rel=0.12)  # shear of 64 atoms, as above


def test_cubic_waves_do_not_depend_on_the_axis(nacl: Phonopy) -> None:
    velocities, _ = acoustic_velocities(nacl, [[1, 0, 0], [0, 1, 0], [0, 0, -7.0]])
    np.testing.assert_allclose(velocities, velocities[:1].repeat(3, axis=0), rtol=1e-6)  # noise at Gamma, 1e-5 THz


def test_bad_input_is_refused(nacl: Phonopy, argon_phonons: Phonopy) -> None:
    with pytest.raises(ValueError, match="not zero"):
        acoustic_velocities(nacl, [[0, 0, 0]])
    with pytest.raises(ValueError, match=r"\[d, 3\]"):
        acoustic_velocities(nacl, [[1, 0]])
    broken = argon_phonons.copy()
    constants = argon_phonons.force_constants.copy()
    constants[np.arange(len(constants)), np.arange(len(constants))] += 0.01 * np.eye(3)
    broken.force_constants = constants
    with pytest.raises(ValueError, match="acoustic sum rule, symmetrise"):
        acoustic_velocities(broken, [[1, 0, 0]])
    broken.force_constants = -argon_phonons.force_constants
    with pytest.raises(ValueError, match="elastically unstable"):
        acoustic_velocities(broken, [[1, 0, 0]])
