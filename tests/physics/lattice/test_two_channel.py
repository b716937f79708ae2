import dataclasses

import numpy as np
import phonopy
import pytest
from phono3py import Phono3py
from phono3py.file_IO import write_kappa_to_hdf5
from phonopy.phonon.grid import get_ir_grid_points, get_qpoints_from_bz_grid_points
from scipy import constants

from aiida_iontherm.physics.heat import mode_heat_capacity
from aiida_iontherm.physics.lattice import (
    Phonons,
    left_out_fraction,
    mode_contributions,
    phonopy_from_phono3py,
    spectral,
    symmetrise_tensor,
    two_channel,
    two_channel_sum,
    velocity_products,
)

VOLUME = 100.0  # Angstrom^3


def hermitian(rng: np.random.Generator, bands: int, points: int = 1) -> np.ndarray:
    """Random velocity operators [q, 3, s, s] of some hundred m/s."""
    matrix = rng.normal(size=(points, 3, bands, bands)) + 1j * rng.normal(size=(points, 3, bands, bands))
    return 300 * (matrix + matrix.conj().swapaxes(2, 3))


def equation_5(frequencies, operator, gamma, temperature):
    """Eq. 5 of the paper as printed, angular frequencies and scattering rates, all pairs: the reference."""
    omega, rate = 2e12 * np.pi * frequencies, 4e12 * np.pi * gamma
    n = 1 / np.expm1(constants.hbar * omega / (constants.k * temperature))
    kappa = np.zeros((3, 3))
    for s in range(len(omega)):
        for t in range(len(omega)):
            weight = omega[s] * n[s] * (n[s] + 1) + omega[t] * n[t] * (n[t] + 1)
            weight *= (omega[s] + omega[t]) / 2 * (rate[s] + rate[t])
            weight /= 4 * (omega[s] - omega[t]) ** 2 + (rate[s] + rate[t]) ** 2
            kappa += weight * np.einsum("a,b->ab", operator[:, s, t], operator[:, t, s]).real
    return kappa * constants.hbar**2 / (constants.k * temperature**2 * VOLUME * 1e-30)


def test_one_band_is_heat_capacity_times_velocity_squared_times_lifetime():
    frequency, gamma, temperature, speed = 3.0, 0.02, 300.0, 2500.0
    operator = np.zeros((1, 3, 1, 1), complex)
    operator[0, 0] = speed
    particle, wave = two_channel_sum([[frequency]], velocity_products(operator), [7], [[gamma]], temperature, VOLUME)
    x = constants.h * frequency * 1e12 / (constants.k * temperature)
    capacity = constants.k * x**2 * np.exp(x) / (np.exp(x) - 1) ** 2
    lifetime = 1 / (4 * np.pi * gamma * 1e12)
    # The same product of numbers in another order.
    assert particle[0, 0] == pytest.approx(capacity * speed**2 * lifetime / (VOLUME * 1e-30), rel=1e-12)
    assert not wave.any()


def test_several_bands_are_equation_5():
    rng = np.random.default_rng(1)
    frequencies = np.array([1.0, 1.3, 2.0, 5.0])
    gamma = np.array([0.05, 0.2, 0.1, 0.4])
    operator = hermitian(rng, 4)
    products = velocity_products(operator)
    particle, wave = two_channel_sum([frequencies], products, [1], [gamma], 250.0, VOLUME)
    expected = equation_5(frequencies, operator[0], gamma, 250.0)
    np.testing.assert_allclose(particle + wave, expected, rtol=1e-10)  # rounding
    only_diagonal = operator[0] * np.eye(4)
    np.testing.assert_allclose(particle, equation_5(frequencies, only_diagonal, gamma, 250.0), rtol=1e-10)


def test_far_bands_leave_the_particle_channel_alone():
    """Peierls limit: the wave channel falls off as (width / distance)^2 against the particle channel."""
    operator = np.full((1, 3, 2, 2), 1000.0 + 0j)
    frequencies, gamma = [[2.0, 4.0]], [[1e-4, 1e-4]]
    particle, wave = two_channel_sum(frequencies, velocity_products(operator), [1], gamma, 300.0, VOLUME)
    # (2 gamma)^2 / distance^2 = 1e-8, times a factor of order one from frequencies and heat capacities.
    assert 0 < wave[0, 0] / particle[0, 0] < 3e-8


def test_wide_lines_give_allen_and_feldman():
    """Bands close against their widths: kappa = sum_s C_s D_s / V with Allen and Feldman's mode diffusivity."""
    rng = np.random.default_rng(2)
    frequencies = 5.0 + 0.01 * np.sort(rng.random(30))
    gamma = np.full(30, 0.05)
    operator = hermitian(rng, 30)
    operator[:, :, np.arange(30), np.arange(30)] = 0
    _, wave = two_channel_sum(
        [frequencies], velocity_products(operator), [1], [gamma], 300.0, VOLUME, degeneracy_thz=1e-9
    )
    omega, width = 2e12 * np.pi * frequencies, 4e12 * np.pi * gamma[0]
    distance = omega[:, None] - omega[None, :]
    delta = width / np.pi / (distance**2 + width**2)  # Lorentzian for the delta function of angular frequency
    # D_s = pi sum_s' |v_ss'|^2 delta: Phys. Rev. B 48, 12581 (1993) in terms of the velocity operator.
    diffusivity = np.pi * np.sum(np.abs(operator[0, 0]) ** 2 * delta, axis=1)
    expected = np.sum(constants.k * mode_heat_capacity(frequencies, 300.0) * diffusivity) / (VOLUME * 1e-30)
    # C_ss' differs from C_s by (0.01/5)^2 for a band 0.01 THz wide at 5 THz.
    assert wave[0, 0] == pytest.approx(expected, rel=1e-5)


def test_split_does_not_depend_on_the_basis_of_a_degenerate_subspace():
    rng = np.random.default_rng(3)
    frequencies = np.array([[1.0, 2.0, 2.0 + 3e-6, 2.0 + 5e-6, 4.0]])
    gamma = np.array([[0.1, 0.05, 0.2, 0.3, 0.1]])
    operator = hermitian(rng, 5)
    unitary = np.eye(5, dtype=complex)
    unitary[1:4, 1:4] = np.linalg.qr(rng.normal(size=(3, 3)) + 1j * rng.normal(size=(3, 3)))[0]
    rotated = unitary.conj().T @ operator @ unitary
    results = [
        two_channel_sum(frequencies, velocity_products(v), [1], gamma, 300.0, VOLUME) for v in (operator, rotated)
    ]
    for before, after in zip(*results, strict=True):
        # Frequencies and widths are averaged over the subspace first: exact but for rounding.
        np.testing.assert_allclose(after, before, rtol=1e-10)


def test_cubic_crystal_conducts_alike_in_all_directions(cucl):
    phonons = Phonons.from_phonopy(cucl, (4, 4, 4))
    gamma = np.full((2, *phonons.frequencies_thz.shape), 0.05)
    result = two_channel(phonons, gamma, [200.0, 300.0])
    for channel in (result.particle, result.wave):
        scale = channel[:, 0, 0].min()
        assert scale > 0
        # Rotation matrices of the cell are good to about 1e-9.
        np.testing.assert_allclose(channel / channel[:, :1, :1], np.broadcast_to(np.eye(3), (2, 3, 3)), atol=1e-6)


def test_diagonal_is_never_negative(nacl):
    phonons = Phonons.from_phonopy(nacl, (3, 3, 3))
    gamma = np.random.default_rng(4).uniform(0.01, 0.5, (1, *phonons.frequencies_thz.shape))
    particle, wave = mode_contributions(
        phonons.frequencies_thz,
        velocity_products(phonons.velocity_operator),
        phonons.weights,
        gamma[0],
        300.0,
        phonons.volume_A3,
    )
    # Pairs inside a degenerate set may be shared unevenly between its modes, never negatively on the diagonal.
    assert particle[..., :3].min() >= 0
    assert wave[..., :3].min() >= 0


def test_irreducible_points_give_the_sum_over_the_whole_mesh(cucl):
    reduced = Phonons.from_phonopy(cucl, (3, 3, 3))
    axis = np.array([0, 1, -1]) / 3
    everywhere = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    full = Phonons.from_phonopy(cucl, qpoints=everywhere)
    results = []
    for phonons in (reduced, full):
        gamma = 0.01 + 0.002 * phonons.frequencies_thz[None].clip(0) ** 2
        results.append(two_channel(phonons, gamma, [300.0]))
    # Symmetry of the force constants from finite displacements.
    np.testing.assert_allclose(results[0].particle, results[1].particle, rtol=1e-5, atol=1e-8)
    np.testing.assert_allclose(results[0].wave, results[1].wave, rtol=1e-5, atol=1e-8)


def test_sum_is_phono3pys_for_its_own_velocity_matrices(silicon):
    """Same frequencies, velocity matrices and linewidths as phono3py's SMM19: the sum itself."""
    silicon.mesh_numbers = [5, 5, 5]
    silicon.init_phph_interaction()
    silicon.run_thermal_conductivity(temperatures=[100, 300], transport_type="SMM19")
    theirs = silicon.thermal_conductivity
    weights = theirs.grid_weights
    # Summed over the star of q, in (THz Angstrom)^2.
    products = theirs._vm_by_vm.real.transpose(0, 3, 1, 2) / weights[:, None, None, None] * 1e4
    frequencies = theirs.frequencies
    for i, temperature in enumerate([100.0, 300.0]):
        particle, wave = two_channel_sum(
            frequencies,
            products,
            weights,
            theirs.gamma[0, i],
            temperature,
            silicon.primitive.volume,
            cutoff_thz=0.01,
        )
        # Constants of phono3py are those of an earlier CODATA: 1e-6.
        assert (particle + wave)[0, 0] == pytest.approx(theirs.kappa[0, i, 0], rel=1e-5)


def test_total_is_phono3pys_without_symmetry(silicon):
    """The whole way from force constants, with phono3py's normalisation of the velocity matrix.

    phono3py 4.8.2 divides <e|dD/dq|e'> by 2 sqrt(w w') where Simoncelli et al. and we divide by w + w'. It also
    overwrites the diagonal of the velocity matrix by symmetrised group velocities at points on symmetry elements
    (through a view NumPy's einsum returns), so the comparison is made with the symmetry switched off.
    """
    crystal = Phono3py(
        silicon.unitcell,
        silicon.supercell_matrix,
        primitive_matrix=silicon.primitive_matrix,
        is_symmetry=False,
        log_level=0,
    )
    crystal.fc2, crystal.fc3 = silicon.fc2, silicon.fc3
    crystal.mesh_numbers = [3, 3, 3]
    crystal.init_phph_interaction()
    crystal.run_thermal_conductivity(temperatures=[300], transport_type="SMM19")
    theirs = crystal.thermal_conductivity
    phonons = Phonons.from_phonopy(phonopy_from_phono3py(crystal), qpoints=theirs.qpoints, weights=theirs.grid_weights)
    f = np.where(phonons.frequencies_thz > 0.01, phonons.frequencies_thz, 1.0)
    ratio = (f[:, :, None] + f[:, None, :]) / (2 * np.sqrt(f[:, :, None] * f[:, None, :]))
    rescaled = dataclasses.replace(
        phonons, velocity_operator=phonons.velocity_operator * ratio[:, None], rotations=np.eye(3)[None]
    )
    ours = two_channel(rescaled, theirs.gamma[0], [300.0], cutoff_thz=0.01)
    six = theirs.kappa[0, 0]
    # Constants (1e-6) and the sensitivity of near-degenerate pairs to rounding of the eigenvectors.
    np.testing.assert_allclose(np.diag(ours.total[0]), six[:3], rtol=1e-4)


def test_complex_cell_is_phono3pys_at_given_linewidths(shared_data, tmp_path, monkeypatch):
    """Rb2CuBr3, 24 atoms and 72 bands in the cell, on phono3py's way with linewidths read from a file."""
    folder = shared_data / "phonondb" / "mp-569531"
    harmonic = phonopy.load(
        unitcell_filename=folder / "POSCAR-unitcell",
        supercell_matrix=np.diag([2, 3, 1]),
        primitive_matrix="P",
        force_sets_filename=folder / "FORCE_SETS",
        is_nac=False,
        log_level=0,
    )
    crystal = Phono3py(
        harmonic.unitcell, harmonic.supercell_matrix, primitive_matrix="P", is_symmetry=False, log_level=0
    )
    crystal.fc2 = harmonic.force_constants
    mesh = [2, 3, 2]
    crystal.mesh_numbers = mesh
    crystal.init_phph_interaction()
    grid = crystal.phph_interaction.bz_grid
    points, weights, _ = get_ir_grid_points(grid)
    phonons = Phonons.from_phonopy(
        phonopy_from_phono3py(crystal),
        qpoints=get_qpoints_from_bz_grid_points(grid.grg2bzg[points], grid),
        weights=weights,
    )
    gamma = 0.02 + 0.02 * np.abs(phonons.frequencies_thz)[None] * np.array([0.5, 1.0])[:, None, None]
    temperatures = np.array([150.0, 300.0])
    monkeypatch.chdir(tmp_path)
    write_kappa_to_hdf5(
        temperatures, mesh, gamma=gamma, qpoint=phonons.qpoints, frequency=phonons.frequencies_thz, verbose=False
    )
    crystal.run_thermal_conductivity(temperatures=temperatures, transport_type="SMM19", read_gamma=True)
    theirs = crystal.thermal_conductivity
    np.testing.assert_allclose(theirs.qpoints, phonons.qpoints, atol=1e-12)
    f = np.where(phonons.frequencies_thz > 0.01, phonons.frequencies_thz, 1.0)
    ratio = (f[:, :, None] + f[:, None, :]) / (2 * np.sqrt(f[:, :, None] * f[:, None, :]))
    rescaled = dataclasses.replace(
        phonons, velocity_operator=phonons.velocity_operator * ratio[:, None], rotations=np.eye(3)[None]
    )
    ours = two_channel(rescaled, gamma, temperatures, cutoff_thz=0.01)
    # Constants (1e-6) and the sensitivity of near-degenerate pairs to rounding of the eigenvectors.
    np.testing.assert_allclose(np.diagonal(ours.total, axis1=1, axis2=2), theirs.kappa[0, :, :3], rtol=1e-4)


def test_spectrum_adds_up_to_the_conductivity(cucl):
    phonons = Phonons.from_phonopy(cucl, (4, 4, 4))
    gamma = np.full((1, *phonons.frequencies_thz.shape), 0.1)
    result = two_channel(phonons, gamma, [300.0])
    contributions = mode_contributions(
        phonons.frequencies_thz,
        velocity_products(phonons.velocity_operator),
        phonons.weights,
        gamma[0],
        300.0,
        phonons.volume_A3,
    )
    edges = np.linspace(0, 12, 31)  # CuCl ends below 8 THz
    for channel, expected in zip(contributions, (result.particle[0], result.wave[0]), strict=True):
        density = spectral(phonons.frequencies_thz, channel, edges, phonons.rotations)
        # A histogram loses nothing.
        np.testing.assert_allclose(np.einsum("b,bij->ij", np.diff(edges), density), expected, rtol=1e-9, atol=1e-12)


def test_pair_is_shared_in_proportion_to_heat_capacity():
    operator = np.full((1, 3, 2, 2), 500.0 + 0j)
    _, wave = mode_contributions([[1.0, 9.0]], velocity_products(operator), [1], [[0.2, 0.2]], 150.0, VOLUME)
    capacity = mode_heat_capacity([1.0, 9.0], 150.0)
    assert wave[0, 0, 0] / wave[0, 1, 0] == pytest.approx(capacity[0] / capacity[1], rel=1e-12)


def test_tensor_is_projected_on_the_point_group():
    quarter_turn = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    group = np.array([np.linalg.matrix_power(quarter_turn, k) for k in range(4)])
    tensor = np.array([[1.0, 0.4, 0.3], [0.4, 3.0, 0.2], [0.3, 0.2, 5.0]])
    brute = np.mean([r @ tensor @ r.T for r in group], axis=0)
    np.testing.assert_allclose(symmetrise_tensor(tensor, group), brute, atol=1e-14)
    np.testing.assert_allclose(brute, np.diag([2.0, 2, 5]), atol=1e-14)


def test_soft_and_imaginary_modes_carry_nothing_and_are_counted():
    operator = np.full((1, 3, 4, 4), 500.0 + 0j)
    frequencies, gamma = np.array([[-1.0, 0.01, 2.0, 3.0]]), np.array([[0.1, 0.1, 0.1, 0.0]])
    particle, wave = two_channel_sum(frequencies, velocity_products(operator), [1], gamma, 300.0, VOLUME)
    alone, _ = two_channel_sum([[2.0]], velocity_products(operator[:, :, :1, :1]), [1], [[0.1]], 300.0, VOLUME)
    np.testing.assert_allclose(particle, alone, rtol=1e-12)
    assert not wave.any()
    assert left_out_fraction(frequencies, [1], gamma) == pytest.approx(3 / 4)


def test_bad_input_is_refused(cucl):
    phonons = Phonons.from_phonopy(cucl, (2, 2, 2))
    shape = phonons.frequencies_thz.shape
    with pytest.raises(ValueError, match="needs \\[T, q, s\\]"):
        two_channel(phonons, np.ones(shape), [300.0])
    with pytest.raises(ValueError, match="not below zero"):
        two_channel(phonons, -np.ones((1, *shape)), [300.0])
    with pytest.raises(ValueError, match="not below zero"):
        two_channel(phonons, np.full((1, *shape), np.nan), [300.0])
    with pytest.raises(ValueError, match="temperature must be positive"):
        two_channel(phonons, np.ones((1, *shape)), [0.0])
