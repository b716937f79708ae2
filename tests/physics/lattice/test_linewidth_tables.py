import numpy as np
import pytest

from aiida_iontherm.physics.lattice import Phonons, irreducible_mesh, phonopy_from_phono3py
from aiida_iontherm.physics.lattice.linewidth_tables import (
    check_linewidths,
    linewidths_by_frequency,
    linewidths_on_mesh,
    match_qpoints,
    reciprocal_operations,
    to_gamma_thz,
)

TEMPERATURES = np.array([100.0, 300.0])


@pytest.fixture(scope="module")
def crystal(cucl) -> tuple[Phonons, np.ndarray]:
    phonons = Phonons.from_phonopy(cucl, (4, 4, 4))
    return phonons, reciprocal_operations(cucl.primitive.cell, phonons.rotations)


def plausible(frequencies: np.ndarray) -> np.ndarray:
    """Three-phonon-like widths [T, ...]: quadratic in frequency, linear in temperature."""
    return 0.002 * frequencies.clip(0) ** 2 * (TEMPERATURES / 100).reshape(-1, *[1] * frequencies.ndim)


def test_one_lifetime_in_all_its_forms():
    """tau = 1 ps is gamma = 1/(4 pi) THz, a rate of 1/ps, a full width of 1 rad/ps, 0.658 meV of full width."""
    gamma = 1 / (4 * np.pi)
    forms = [
        (1.0, "lifetime", "ps"),
        (1e3, "lifetime", "fs"),
        (1e-12, "lifetime", "s"),
        (1.0, "rate", "1/ps"),
        (1e-3, "rate", "1/fs"),
        (1e12, "rate", "1/s"),
        (1.0, "fwhm", "rad/ps"),
        (0.5, "hwhm", "rad/ps"),
        (0.5e12, "hwhm", "rad/s"),
        (gamma, "hwhm", "THz"),
        (gamma * 1e12, "hwhm", "Hz"),
    ]
    for value, quantity, unit in forms:
        assert to_gamma_thz(value, quantity, unit) == pytest.approx(gamma, rel=1e-14)
    # hbar = 0.6582119569 meV ps and 5.308837459 cm^-1 ps, CODATA 2018 to the digits given.
    assert to_gamma_thz(0.6582119569, "fwhm", "meV") == pytest.approx(gamma, rel=1e-9)
    assert to_gamma_thz(5.308837459, "fwhm", "cm-1") == pytest.approx(gamma, rel=1e-9)
    np.testing.assert_array_equal(to_gamma_thz([np.inf], "lifetime", "ps"), [0.0])
    with pytest.raises(ValueError, match="cannot read rate in THz"):
        to_gamma_thz(1.0, "rate", "THz")
    with pytest.raises(ValueError, match=r"1 of 2 are not, the first at \[1\] \(0\)"):
        to_gamma_thz([1.0, 0.0], "lifetime", "ps")


def test_operations_are_those_of_phonopy(cucl):
    phonons = Phonons.from_phonopy(cucl, (1, 1, 1))
    ours = {tuple(m.ravel()) for m in reciprocal_operations(cucl.primitive.cell, phonons.rotations)}
    # Operations act on q as the inverse transpose acts on positions; the whole group either way.
    direct = np.array(cucl.primitive_symmetry.pointgroup_operations)
    theirs = {tuple(sign * m.T.ravel()) for m in direct for sign in (1, -1)}
    assert ours == theirs
    assert len(ours) == 48  # T_d with time reversal
    with pytest.raises(ValueError, match="not symmetries of this cell"):
        reciprocal_operations(np.diag([3.0, 4.0, 5.0]), phonons.rotations)


def test_table_on_the_whole_mesh_in_any_order_is_found(crystal, cucl):
    """The table holds all points of the zone, shifted by reciprocal lattice vectors, in random order of points."""
    phonons, operations = crystal
    axis = np.arange(4) / 4
    everywhere = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    rng = np.random.default_rng(0)
    rng.shuffle(everywhere)
    everywhere += rng.integers(-1, 2, everywhere.shape)
    table = Phonons.from_phonopy(cucl, qpoints=everywhere)
    # Modes of the table shuffled too: its frequencies tell which is which.
    order = rng.permuted(np.tile(np.arange(6), (len(everywhere), 1)), axis=1)
    frequencies = np.take_along_axis(table.frequencies_thz, order, axis=1)
    gamma = linewidths_on_mesh(
        phonons.qpoints, phonons.frequencies_thz, operations, everywhere, plausible(frequencies), frequencies
    )
    # Symmetry of the force constants from finite displacements.
    np.testing.assert_allclose(gamma, plausible(phonons.frequencies_thz), rtol=1e-4, atol=1e-7)


def test_only_equivalent_points_match(crystal, cucl):
    """Every irreducible point is found at itself, none at another."""
    phonons, operations = crystal
    index = match_qpoints(phonons.qpoints, phonons.qpoints, operations)
    np.testing.assert_array_equal(index, np.arange(len(phonons.qpoints)))


def test_missing_point_is_named(crystal):
    phonons, operations = crystal
    gamma = plausible(phonons.frequencies_thz)
    with pytest.raises(ValueError, match=r"q-point 3 \[.*\] is not in the table.*\(1 of 8 missing\)"):
        linewidths_on_mesh(
            phonons.qpoints,
            phonons.frequencies_thz,
            operations,
            np.delete(phonons.qpoints, 3, axis=0),
            np.delete(gamma, 3, axis=1),
        )


def test_numbers_that_are_none_are_named(crystal):
    phonons, operations = crystal
    arguments = (phonons.qpoints, phonons.frequencies_thz, operations, phonons.qpoints)
    for bad in (np.nan, -0.1, np.inf):
        gamma = plausible(phonons.frequencies_thz)
        gamma[1, 2, 3] = bad
        with pytest.raises(ValueError, match=r"first at \[1, 2, 3\]"):
            linewidths_on_mesh(*arguments, gamma)
        with pytest.raises(ValueError, match=r"first at \[1, 2, 3\]"):
            check_linewidths(gamma, phonons.frequencies_thz, TEMPERATURES)
        with pytest.raises(ValueError, match=r"first at \[1, 15\]"):
            linewidths_by_frequency(phonons.frequencies_thz, np.ones(48), gamma.reshape(2, 48))
    with pytest.raises(ValueError, match=r"needs \[T, k, s\]"):
        linewidths_on_mesh(*arguments, plausible(phonons.frequencies_thz)[0])


@pytest.mark.parametrize(("unit", "factor"), [("rad/ps", 2 * np.pi), ("meV", 4.135667696), ("cm-1", 33.35640952)])
def test_frequencies_in_another_unit_are_asked_about(crystal, unit, factor):
    phonons, operations = crystal
    gamma = plausible(phonons.frequencies_thz)
    with pytest.raises(ValueError, match=f"are they in {unit}, and the linewidths too"):
        linewidths_on_mesh(
            phonons.qpoints,
            phonons.frequencies_thz,
            operations,
            phonons.qpoints,
            factor * gamma,
            factor * 1.03 * phonons.frequencies_thz,
        )


def test_other_force_constants_are_noticed(crystal):
    phonons, operations = crystal
    theirs = phonons.frequencies_thz.copy()
    theirs[4, 5] += 0.2
    with pytest.raises(ValueError, match=r"mode 5 at q-point 4 .* \(1 modes differ"):
        linewidths_on_mesh(
            phonons.qpoints,
            phonons.frequencies_thz,
            operations,
            phonons.qpoints,
            plausible(phonons.frequencies_thz),
            theirs,
        )


def test_magnitudes_are_questioned(crystal):
    frequencies = crystal[0].frequencies_thz
    gamma = plausible(frequencies)
    check_linewidths(gamma, frequencies, TEMPERATURES)
    with np.errstate(divide="ignore"):
        lifetimes = np.where(gamma > 1e-6, 1 / (4 * np.pi * gamma), 0.0)
    with pytest.raises(ValueError, match="lifetimes in ps"):
        check_linewidths(lifetimes, frequencies, TEMPERATURES)
    # Short lifetimes are of the size of widths; that they fall with temperature gives them away.
    with pytest.raises(ValueError, match="fall with temperature"):
        check_linewidths(0.05 * lifetimes, frequencies, TEMPERATURES)
    with pytest.raises(ValueError, match=r"infinitely sharp.*lifetimes in s"):
        check_linewidths(1e-12 * lifetimes, frequencies, TEMPERATURES)
    with pytest.raises(ValueError, match=r"broader.*widths in Hz"):
        check_linewidths(1e12 * gamma, frequencies, TEMPERATURES)
    with pytest.raises(ValueError, match=r"broader.*widths in cm-1"):
        check_linewidths(200 * gamma, frequencies, TEMPERATURES)
    with pytest.raises(ValueError, match="no mode has a linewidth"):
        check_linewidths(0 * gamma, frequencies, TEMPERATURES)
    with pytest.raises(ValueError, match="need \\[T, q, s\\]"):
        check_linewidths(gamma, frequencies, [300.0])


def test_real_linewidths_pass_the_questions(silicon):
    """phono3py's own widths of silicon, 2 K to 1000 K: sharp at low temperature, and still no reason to ask."""
    silicon.mesh_numbers = [3, 3, 3]
    silicon.init_phph_interaction(average_degenerate_weights=True)
    temperatures = np.array([2.0, 300.0, 1000.0])
    silicon.run_thermal_conductivity(temperatures=temperatures)
    theirs = silicon.thermal_conductivity
    check_linewidths(theirs.gamma[0], theirs.frequencies, temperatures)
    phonopy = phonopy_from_phono3py(silicon)
    phonons = Phonons.from_phonopy(phonopy, (3, 3, 3))
    operations = reciprocal_operations(phonopy.primitive.cell, phonons.rotations)
    gamma = linewidths_on_mesh(
        phonons.qpoints, phonons.frequencies_thz, operations, theirs.qpoints, theirs.gamma[0], theirs.frequencies
    )
    assert len(phonons.qpoints) == len(irreducible_mesh(phonopy, (3, 3, 3))[0])
    # The same mesh in the same program: the same points, modes of near-zero frequency at Gamma aside.
    np.testing.assert_allclose(gamma[:, 1:], theirs.gamma[0][:, 1:], rtol=1e-12)


def test_power_law_is_recovered_by_frequency_and_its_scatter_told():
    rng = np.random.default_rng(3)
    theirs = rng.uniform(0.5, 8.0, 2000)
    clean = np.stack([0.001 * theirs**2, 0.003 * theirs**2])
    ours = np.array([[0.1, 1.0, 3.0], [-0.5, 7.0, 16.0]])
    exact = linewidths_by_frequency(ours, theirs, clean)
    # A power law is a straight line in logarithms, within the table and beyond: rounding only.
    expected = np.where(ours > 0, ours, 0.0) ** 2 * np.array([0.001, 0.003])[:, None, None]
    np.testing.assert_allclose(exact.gamma_thz, expected, rtol=1e-8)
    assert exact.outside == pytest.approx(2 / 5)
    assert exact.scatter.max() < 1e-8
    noisy = linewidths_by_frequency(ours, theirs, clean * np.exp(0.3 * rng.normal(size=2000)))
    # The standard deviation that was put in, from 2000 modes (1.6 %), less the little the curve follows.
    np.testing.assert_allclose(noisy.scatter, 0.3, rtol=0.06)
    # Some hundred modes under each Gaussian: 3 %, three of them; the ends, continued by a factor of 2-5, are worse.
    inside = (ours >= 1.0) & (ours <= 7.0)
    np.testing.assert_allclose(noisy.gamma_thz[:, inside], expected[:, inside], rtol=0.1)


def test_gaps_and_single_frequencies_are_bridged():
    theirs = np.concatenate([np.full(20, 1.0), np.full(20, 6.0)])
    gamma = np.where(theirs < 3, 0.01, 0.09)[None]
    result = linewidths_by_frequency([[1.0, 2.5, 6.0]], theirs, gamma)
    low, middle, high = result.gamma_thz[0, 0]
    assert low == pytest.approx(0.01, rel=1e-6)
    assert high == pytest.approx(0.09, rel=1e-6)
    assert 0.01 <= middle <= 0.09
    with pytest.raises(ValueError, match="only 5 modes"):
        linewidths_by_frequency([[1.0]], theirs[:5], gamma[:, :5])
    with pytest.raises(ValueError, match="bandwidth must be positive"):
        linewidths_by_frequency([[1.0]], theirs, gamma, bandwidth=0.0)
