import numpy as np
import pytest

from aiida_iontherm.physics.ions import (
    bose_einstein,
    critical_phonon_number,
    mobile_fraction,
    occupation_of_modes,
    probability_at_least,
)
from aiida_iontherm.physics.ions.site_occupation import site_occupation
from aiida_iontherm.physics.lattice.modes import average_atom_frequency, mode_shares
from aiida_iontherm.physics.lattice.phonons import Phonons
from aiida_iontherm.physics.lattice.sites import SpaceGroup
from aiida_iontherm.physics.units import H_EV_THZ, KB_EV


def planted(frequencies, eigenvectors, weights, symbols, rotations=None) -> Phonons:
    """Phonons whose eigenvectors are known by construction."""
    frequencies = np.asarray(frequencies, dtype=float)
    q, s = frequencies.shape
    return Phonons(
        frequencies_thz=frequencies,
        eigenvectors=np.asarray(eigenvectors, dtype=complex),
        velocity_operator=np.zeros((q, 3, s, s), dtype=complex),
        weights=np.asarray(weights, dtype=float),
        qpoints=np.zeros((q, 3)),
        volume_A3=100.0,
        rotations=np.eye(3)[None] if rotations is None else rotations,
        symbols=symbols,
        masses=np.ones(len(symbols)),
    )


@pytest.fixture
def argyrodite() -> Phonons:
    """Two ions, each axis a mode of its own: 2.0 THz on average, 1.7 at the second site, 1.4 along x there."""
    frequencies = np.array([[2.2, 2.3, 2.4, 1.4, 1.8, 1.9]])
    order = np.argsort(frequencies[0])
    return planted(frequencies[:, order], np.eye(6)[None][:, :, order], [1], ["Ag", "Ag"])


def test_averages_of_species_site_and_jump(argyrodite):
    """The three averages that Bernges et al. compare, 2.0, 1.7 and 1.4 THz, planted."""
    species = site_occupation(argyrodite, [0, 1], 0.1, 298.0)
    site = site_occupation(argyrodite, [1], 0.1, 298.0, label="Ag3")
    jump = site_occupation(argyrodite, [1], 0.1, 298.0, direction=[3.0, 0.0, 0.0])
    # sums of three or six numbers: rounding
    assert species.average_frequency_thz == pytest.approx(2.0, rel=1e-12)
    assert site.average_frequency_thz == pytest.approx(1.7, rel=1e-12)
    assert jump.average_frequency_thz == pytest.approx(1.4, rel=1e-12)
    assert (species.label, site.label) == ("Ag", "Ag3")
    # all weight in one mode: the single-mode numbers, and the softest mode is the fullest
    assert jump.mean_equilibrium == pytest.approx(float(bose_einstein(1.4, 298.0)), rel=1e-12)
    assert jump.mean_critical == critical_phonon_number(0.1, 1.4)
    assert jump.mean_equilibrium > site.mean_equilibrium > species.mean_equilibrium


def test_a_jump_between_axes_counts_both_by_their_squared_cosines(argyrodite):
    # p = (1, 2, 0)/sqrt(5): 1/5 of the mode at 1.4 THz, 4/5 of that at 1.8
    jump = site_occupation(argyrodite, [1], 0.1, 298.0, direction=[1.0, 2.0, 0.0])
    np.testing.assert_allclose(jump.frequencies_thz, [1.4, 1.8], rtol=1e-15)
    np.testing.assert_allclose(jump.weights, [0.2, 0.8], rtol=1e-12)
    expected = 0.2 * bose_einstein(1.4, 298.0) + 0.8 * bose_einstein(1.8, 298.0)
    assert jump.mean_equilibrium == pytest.approx(float(expected), rel=1e-12)


def random_phonons(seed: int) -> Phonons:
    rng = np.random.default_rng(seed)
    matrices = rng.normal(size=(4, 9, 9)) + 1j * rng.normal(size=(4, 9, 9))
    vectors = np.linalg.eigh(matrices + matrices.conj().swapaxes(1, 2))[1]
    return planted(np.sort(rng.uniform(0.3, 8, (4, 9)), axis=1), vectors, rng.integers(1, 9, 4), ["Cu", "Cu", "I"])


def test_shares_add_up():
    phonons = random_phonons(0)
    along_axes = sum(mode_shares(phonons, [0, 2], axis) for axis in np.eye(3))
    np.testing.assert_allclose(along_axes, mode_shares(phonons, [0, 2]), rtol=1e-12)
    np.testing.assert_allclose(mode_shares(phonons, [0, 1, 2]), 1.0, rtol=1e-12)  # unitary


def test_modes_against_a_plain_loop():
    phonons, t, barrier = random_phonons(1), 350.0, 0.12
    p = np.array([1.0, -2.0, 0.5]) / np.sqrt(5.25)
    total = frequency = n0 = tail = 0.0
    for q in range(4):
        for s in range(9):
            weight = phonons.weights[q] * abs(phonons.eigenvectors[q, 3:6, s] @ p) ** 2
            nu = phonons.frequencies_thz[q, s]
            x = H_EV_THZ * nu / (KB_EV * t)
            total += weight
            frequency += weight * nu
            n0 += weight / np.expm1(x)
            tail += weight * np.exp(-np.ceil(barrier / (H_EV_THZ * nu)) * x)
    found = site_occupation(phonons, [1], barrier, t, direction=p)
    # 36 terms in another order: rounding
    assert found.average_frequency_thz == pytest.approx(frequency / total, rel=1e-12)
    assert found.mean_equilibrium == pytest.approx(n0 / total, rel=1e-12)
    assert found.jump_probability == pytest.approx(tail / total, rel=1e-12)
    assert np.all(np.diff(found.frequencies_thz) >= 0)
    # each mode keeps below the mobile fraction, hence so does the mean
    assert found.jump_probability < mobile_fraction(barrier, t)


def test_same_mean_frequency_as_the_lattice_side():
    phonons = random_phonons(2)
    quarter = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    group = SpaceGroup(
        np.array([np.linalg.matrix_power(quarter, k) for k in range(4)]), np.array([[0, 1, 2], [1, 0, 2]] * 2)
    )
    for atoms in ([0], [0, 1], [2]):
        for direction in (None, [1.0, 0.0, 0.0], [1.0, 2.0, 3.0]):
            for operations in (None, group):
                found = site_occupation(phonons, atoms, 0.1, 300.0, direction=direction, space_group=operations)
                expected = average_atom_frequency(phonons, atoms, direction, operations)
                # two codes for one sum: rounding
                assert found.average_frequency_thz == pytest.approx(expected, rel=1e-12)


def test_imaginary_modes_are_left_out_and_counted():
    frequencies = np.array([[-0.5, 1e-5, 1.0, 2.0]])
    found = occupation_of_modes(frequencies, [[1.0, 2.0, 3.0, 4.0]], [1], 0.1, 300.0)
    assert found.imaginary_share == pytest.approx(0.1, rel=1e-12)
    assert not found.converged and "imaginary" in found.reason
    np.testing.assert_allclose(found.weights, [3 / 7, 4 / 7], rtol=1e-12)
    # a zero mode is not an imaginary one
    good = occupation_of_modes(frequencies, [[0.0, 2.0, 3.0, 4.0]], [1], 0.1, 300.0)
    assert good.converged and good.imaginary_share == 0


def test_error_bar_of_the_jump_probability():
    nu = np.linspace(0.5, 3, 400)[None]
    found = occupation_of_modes(nu, np.ones_like(nu), [1], 0.2, 300.0, barrier_uncertainty_ev=0.005)
    # Over many frequencies the steps of n_c average out: what is left is the slope of exp(-E/kT), times
    # (u/kT)^2/6 = 0.6 % of curvature and the steps of 400 modes, one in twenty on each.
    expected = found.jump_probability * 0.005 / (KB_EV * 300)
    assert found.jump_probability_uncertainty == pytest.approx(expected, rel=0.05)
    assert occupation_of_modes(nu, np.ones_like(nu), [1], 0.2, 300.0).jump_probability_uncertainty is None


def test_soft_modes_gain_no_more_than_the_rounding_of_one_quantum():
    """P(n >= n_c) lies between exp(-(E + h nu)/kT) and exp(-E/kT): the law behind "lower frequencies are better"."""
    nu, kt = np.linspace(0.2, 5, 2000), KB_EV * 300
    jump = probability_at_least(critical_phonon_number(0.2, nu), nu, 300.0)
    top = np.exp(-0.2 / kt)
    # 1e-9: critical numbers a last bit above a whole number are not rounded up
    assert np.all(jump <= top * (1 + 1e-9)) and np.all(jump > top * np.exp(-H_EV_THZ * nu / kt) * (1 - 1e-9))
    # and it is a sawtooth, not a falling curve
    assert np.any(np.diff(jump) > 0) and np.any(np.diff(jump) < 0)


def test_bad_input(argyrodite):
    with pytest.raises(ValueError, match="not among"):
        site_occupation(argyrodite, [2], 0.1, 300.0)
    with pytest.raises(ValueError, match="not zero"):
        site_occupation(argyrodite, [0], 0.1, 300.0, direction=[0, 0, 0])
    with pytest.raises(ValueError, match="meV"):
        site_occupation(argyrodite, [0], 100.0, 300.0)
    with pytest.raises(ValueError, match="0 K"):
        site_occupation(argyrodite, [0], 0.1, 0.0)
    with pytest.raises(ValueError, match="no mode with a frequency"):
        occupation_of_modes([[-1.0, 2.0]], [[1.0, 0.0]], [1], 0.1, 300.0)
    with pytest.raises(ValueError, match="shares"):
        occupation_of_modes([[1.0, 2.0]], [[1.0, -0.1]], [1], 0.1, 300.0)
    with pytest.raises(ValueError, match="need frequencies and shares"):
        occupation_of_modes([1.0, 2.0], [1.0, 1.0], [1], 0.1, 300.0)
