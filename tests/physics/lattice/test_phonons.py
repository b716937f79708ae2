import dataclasses

import numpy as np
import pytest
from scipy.linalg import sqrtm

from aiida_iontherm.physics.lattice import Phonons, imaginary_weight, phonopy_from_phono3py

# Away from symmetry planes and Gamma: no degenerate bands, no vanishing frequency.
GENERIC = np.array([[0.11, 0.23, 0.37], [0.05, 0.31, -0.17]])


@pytest.mark.parametrize("name", ["nacl", "cucl"])
def test_frequencies_and_group_velocities_are_phonopys(name, request):
    crystal = request.getfixturevalue(name)
    phonons = Phonons.from_phonopy(crystal, qpoints=GENERIC)
    crystal.run_qpoints(GENERIC, with_group_velocities=True)
    reference = crystal.get_qpoints_dict()
    # Same matrices, same solver: only rounding, which the square root leaves near 1e-12.
    np.testing.assert_allclose(phonons.frequencies_thz, reference["frequencies"], atol=1e-9)
    diagonal = np.einsum("qass->qsa", phonons.velocity_operator).real
    # 1 THz Angstrom is 100 m/s; values are thousands of m/s, so 1e-3 is rounding.
    np.testing.assert_allclose(diagonal, reference["group_velocities"] * 100, atol=1e-3)


@pytest.mark.parametrize("name", ["nacl", "cucl"])
def test_velocity_operator_is_the_derivative_of_the_square_root_of_the_dynamical_matrix(name, request):
    """The definition of Simoncelli et al. 2019, off-diagonal elements included, by finite differences."""
    crystal = request.getfixturevalue(name)
    phonons = Phonons.from_phonopy(crystal, qpoints=GENERIC)
    step = 1e-4  # 1/Angstrom, no 2 pi
    for q, vectors, operator in zip(GENERIC, phonons.eigenvectors, phonons.velocity_operator, strict=True):
        for axis in range(3):
            shift = np.array(crystal.primitive.cell)[:, axis] * step
            roots = []
            for point in (q + shift, q - shift):
                crystal.dynamical_matrix.run(point)
                roots.append(sqrtm(crystal.dynamical_matrix.dynamical_matrix))
            derivative = (roots[0] - roots[1]) / (2 * step) * crystal.unit_conversion_factor * 100
            expected = vectors.conj().T @ derivative @ vectors
            # Central differences with this step are good to about 1e-6 of velocities of several thousand m/s.
            np.testing.assert_allclose(operator[axis], expected, atol=0.05)


def test_velocity_operator_is_hermitian_and_zero_for_modes_without_frequency(nacl):
    phonons = Phonons.from_phonopy(nacl, (3, 3, 3))
    operator = phonons.velocity_operator
    # Two products of matrices, summed in another order above and below the diagonal.
    np.testing.assert_allclose(operator, operator.conj().swapaxes(2, 3), atol=1e-11 * np.abs(operator).max())
    gamma = int(np.argmin(np.linalg.norm(phonons.qpoints, axis=1)))
    # Acoustic modes at Gamma: some 1e-7 THz of either sign.
    cut = Phonons.from_phonopy(nacl, qpoints=phonons.qpoints[[gamma]], cutoff_thz=0.01)
    assert not cut.velocity_operator[0, :, :3].any()
    assert not cut.velocity_operator[0, :, :, :3].any()


def test_irreducible_mesh_gives_the_averages_of_phonopys_mesh(cucl):
    phonons = Phonons.from_phonopy(cucl, (5, 5, 5))
    cucl.run_mesh([5, 5, 5], is_gamma_center=True)
    mesh = cucl.get_mesh_dict()
    assert phonons.weights.sum() == 125
    ours = phonons.weights @ phonons.frequencies_thz / 125
    theirs = mesh["weights"] @ mesh["frequencies"] / mesh["weights"].sum()
    # The sets of irreducible points differ, so symmetry of the force constants (1e-6) enters.
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_rotations_are_the_point_group_of_the_crystal(cucl):
    rotations = Phonons.from_phonopy(cucl, qpoints=GENERIC).rotations
    assert rotations.shape == (24, 3, 3)  # T_d
    np.testing.assert_allclose(rotations @ rotations.swapaxes(1, 2), np.broadcast_to(np.eye(3), (24, 3, 3)), atol=1e-8)


def test_phonopy_from_phono3py_has_its_phonons(silicon):
    phonons = Phonons.from_phonopy(phonopy_from_phono3py(silicon), qpoints=GENERIC)
    silicon.mesh_numbers = [3, 3, 3]
    silicon.init_phph_interaction()
    silicon.run_phonon_solver()
    addresses = silicon.grid.addresses / 3
    theirs, _, _ = silicon.get_phonon_data()
    again = Phonons.from_phonopy(phonopy_from_phono3py(silicon), qpoints=addresses)
    # Acoustic modes at Gamma are square roots of rounding (1e-13): 1e-6 THz.
    np.testing.assert_allclose(again.frequencies_thz, theirs, atol=1e-5)
    assert phonons.symbols == ["Si", "Si"]


def test_imaginary_weight_counts_modes_of_the_mesh():
    frequencies = np.array([[-0.05, 1.0], [-0.2, 1.0], [1.0, 2.0]])
    # One of two modes at a point that stands for 3 of 8 mesh points.
    assert imaginary_weight(frequencies, [4, 3, 1]) == pytest.approx(3 / 16)
    assert imaginary_weight(frequencies, [4, 3, 1], threshold_thz=0.01) == pytest.approx(7 / 16)


def test_bad_input_is_refused(cucl):
    with pytest.raises(ValueError, match="three positive integers"):
        Phonons.from_phonopy(cucl, (5, 5))
    with pytest.raises(ValueError, match="do not match"):
        Phonons.from_phonopy(cucl, qpoints=GENERIC, weights=[1.0])
    with pytest.raises(ValueError, match="without qpoints"):
        Phonons.from_phonopy(cucl, weights=[1.0])
    assert dataclasses.is_dataclass(Phonons)
