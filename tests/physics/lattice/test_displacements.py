import dataclasses

import numpy as np
import pytest

from aiida_iontherm.physics.lattice import Phonons
from aiida_iontherm.physics.lattice.displacement_fit import fit_einstein, slope_frequency
from aiida_iontherm.physics.lattice.displacements import displacements, ellipsoids, mode_amplitudes, to_cif
from aiida_iontherm.physics.lattice.sites import SpaceGroup
from aiida_iontherm.physics.units import AMU, HBAR, KB

TEMPERATURES = np.array([0.0, 50.0, 300.0])


def test_tensors_are_phonopys(wurtzite, wurtzite_everywhere):
    wurtzite.run_mesh([4, 4, 3], is_mesh_symmetry=False, with_eigenvectors=True, is_gamma_center=True)
    wurtzite.run_thermal_displacement_matrices(temperatures=TEMPERATURES, freq_min=0.01)
    theirs = wurtzite.get_thermal_displacement_matrices_dict()
    ours = displacements(wurtzite_everywhere, TEMPERATURES)
    # The same sum over the same points; phonopy's electron volt and atomic mass are those of 1986, 4e-7 away.
    np.testing.assert_allclose(ours.tensors_A2, theirs["thermal_displacement_matrices"], rtol=1e-6, atol=1e-10)
    cif = to_cif(ours.tensors_A2, wurtzite.primitive.cell)
    np.testing.assert_allclose(cif, theirs["thermal_displacement_matrices_cif"], rtol=1e-6, atol=1e-10)


def test_tensors_from_the_irreducible_points(wurtzite, wurtzite_everywhere, wurtzite_irreducible):
    group = SpaceGroup.from_phonopy(wurtzite)
    everywhere = displacements(wurtzite_everywhere, TEMPERATURES).tensors_A2
    irreducible = displacements(wurtzite_irreducible, TEMPERATURES, space_group=group).tensors_A2
    # Symmetry of the force constants from finite displacements.
    np.testing.assert_allclose(irreducible, everywhere, atol=1e-5 * everywhere.max())
    assert len(wurtzite_irreducible.qpoints) < len(wurtzite_everywhere.qpoints) / 3


def test_einstein_crystal():
    """An atom on three springs to its site: hbar/(2 m w) coth(hbar w/(2 k T)) along each of them."""
    frequencies, mass = np.array([1.0, 2.0, 4.0]), 63.5
    axes = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))[0]
    crystal = Phonons(
        frequencies_thz=frequencies[None],
        eigenvectors=axes[None].astype(complex),
        velocity_operator=np.zeros((1, 3, 3, 3), dtype=complex),
        weights=np.ones(1),
        qpoints=np.zeros((1, 3)),
        volume_A3=20.0,
        rotations=np.eye(3)[None],
        symbols=["Cu"],
        masses=np.array([mass]),
    )
    result = displacements(crystal, TEMPERATURES)
    w = 2 * np.pi * frequencies * 1e12
    expected = HBAR / (2 * mass * AMU * w) / np.tanh(HBAR * w / (2 * KB * 300.0)) * 1e20
    np.testing.assert_allclose(result.tensors_A2[2, 0], axes @ np.diag(expected) @ axes.T, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(result.isotropic_A2[2, 0], expected.mean(), rtol=1e-12)
    np.testing.assert_allclose(result.b_isotropic_A2[2, 0], 8 * np.pi**2 * expected.mean(), rtol=1e-12)
    half_axes, directions = ellipsoids(result.tensors_A2[2, 0])
    np.testing.assert_allclose(half_axes, np.sqrt(expected[::-1]), rtol=1e-12)
    # The softest spring is the longest axis.
    assert abs(directions[2] @ axes[:, 0]) == pytest.approx(1.0, rel=1e-12)
    classical = displacements(crystal, [300.0], classical=True)
    np.testing.assert_allclose(
        classical.isotropic_A2[0, 0], np.mean(KB * 300.0 / (mass * AMU * w**2)) * 1e20, rtol=1e-12
    )
    with pytest.raises(ValueError, match="imaginary"):
        displacements(dataclasses.replace(crystal, frequencies_thz=-frequencies[None]), [300.0])


def test_quantum_becomes_classical_when_hot():
    # hbar w/(k T) = 0.0048 at 1 THz and 10 000 K: coth x = 1/x + x/3, off by (hbar w/(2 k T))^2/3.
    ratio = mode_amplitudes(1.0, 1e4) / mode_amplitudes(1.0, 1e4, classical=True)
    assert ratio - 1 == pytest.approx((HBAR * 2e12 * np.pi / (2 * KB * 1e4)) ** 2 / 3, rel=1e-4)


def test_half_of_a_gaussian_lies_inside_the_usual_ellipsoid():
    covariance = np.array([[0.02, 0.004, 0.0], [0.004, 0.01, -0.002], [0.0, -0.002, 0.03]])
    half_axes, directions = ellipsoids(covariance, probability=0.5)
    points = np.random.default_rng(5).multivariate_normal(np.zeros(3), covariance, size=100_000)
    inside = np.sum((points @ directions.T / half_axes) ** 2, axis=1) < 1
    # Standard error sqrt(0.25/100 000) = 0.0016, five of them.
    assert inside.mean() == pytest.approx(0.5, abs=0.008)


def test_cif_convention_keeps_the_isotropic_value_and_the_diagonal_of_orthogonal_axes():
    tensor = np.diag([0.01, 0.02, 0.03])
    np.testing.assert_allclose(to_cif(tensor, np.diag([3.0, 5.0, 7.0])), tensor, rtol=1e-12)
    hexagonal = np.array([[4.0, 0, 0], [-2.0, 2 * np.sqrt(3), 0], [0, 0, 6.0]])
    # An isotropic atom in a hexagonal cell has U12 = U11/2 in a CIF file.
    np.testing.assert_allclose(
        to_cif(0.01 * np.eye(3), hexagonal), [[0.01, 0.005, 0], [0.005, 0.01, 0], [0, 0, 0.01]], atol=1e-15
    )


def test_einstein_frequency_is_recovered():
    kelvin, mass, static = np.linspace(20, 400, 12), 107.9, 0.004
    points = mode_amplitudes(1.2, kelvin) / mass
    fit = fit_einstein(kelvin, points, mass)
    # No noise: the tolerance of the solver.
    assert fit.frequency_thz == pytest.approx(1.2, rel=1e-8)
    assert fit.residual_A2 < 1e-9
    shifted = fit_einstein(kelvin, points + static, mass, static=True)
    assert shifted.frequency_thz == pytest.approx(1.2, rel=1e-6)
    assert shifted.static_A2 == pytest.approx(static, rel=1e-6)
    assert fit_einstein([300.0], mode_amplitudes(1.2, [300.0]) / mass, mass).frequency_error_thz is None
    # Curvature that zero-point motion leaves above 200 K: of order (hbar w/(k T))^2/12 = 0.7 % at 200 K.
    hot = np.linspace(200, 400, 5)
    assert slope_frequency(hot, mode_amplitudes(1.2, hot) / mass + static, mass) == pytest.approx(1.2, rel=0.01)


def test_error_bar_of_the_einstein_frequency_is_that_of_repeated_measurements():
    rng, kelvin, mass = np.random.default_rng(11), np.linspace(50, 400, 15), 107.9
    truth = mode_amplitudes(1.2, kelvin) / mass
    fits = [fit_einstein(kelvin, truth + rng.normal(scale=5e-4, size=15), mass) for _ in range(200)]
    scatter = np.std([fit.frequency_thz for fit in fits])
    # 200 samples give the scatter to 1/sqrt(400) = 5 %, the mean error bar is better: four of these.
    assert np.mean([fit.frequency_error_thz for fit in fits]) == pytest.approx(scatter, rel=0.2)


def test_einstein_frequency_of_a_crystal_lies_among_its_modes(wurtzite_irreducible):
    kelvin = np.linspace(50, 400, 8)
    silver = displacements(wurtzite_irreducible, kelvin).isotropic_A2[:, 0]
    fit = fit_einstein(kelvin, silver, wurtzite_irreducible.masses[0])
    # <f^-2>^(-1/2) of the classical limit lies between the lowest and the mean frequency.
    assert 0.3 < fit.frequency_thz < 2.0
    assert fit.frequency_thz == pytest.approx(
        slope_frequency(kelvin[4:], silver[4:], wurtzite_irreducible.masses[0]), rel=0.02
    )


def test_bad_input_is_refused(wurtzite_irreducible):
    with pytest.raises(ValueError, match="must not be negative"):
        displacements(wurtzite_irreducible, [-1.0])
    with pytest.raises(ValueError, match="diverges"):
        displacements(wurtzite_irreducible, [300.0], cutoff_thz=0.0)
    with pytest.raises(ValueError, match="positive definite"):
        ellipsoids(np.diag([1.0, 0.0, 1.0]))
    with pytest.raises(ValueError, match="between 0 and 1"):
        ellipsoids(np.eye(3), probability=1.0)
    with pytest.raises(ValueError, match="different temperatures"):
        fit_einstein([300.0], [0.01], 63.5, static=True)
    with pytest.raises(ValueError, match="must be positive"):
        fit_einstein([300.0], [-0.01], 63.5)
    with pytest.raises(ValueError, match="does not rise"):
        slope_frequency([100.0, 200.0], [0.02, 0.01], 63.5)
