"""Lines of whole crystals whose linewidths are known: harmonic force constants with friction.

The velocity of each mode is damped at the rate eta, its energy decays with 1/tau = eta = 4 pi gamma.
"""

import numpy as np
import pytest
from damped_crystal import langevin

from aiida_iontherm.physics.lattice import Phonons
from aiida_iontherm.physics.lattice.linewidths import degenerate_sets
from aiida_iontherm.physics.spectra import LineKind, find_sites, mode_linewidths, mode_projection


def damping(frequencies):
    return 0.3 + 0.03 * frequencies**2


def sites_of(crystal, positions=None):
    primitive, supercell = crystal.primitive, crystal.supercell
    return find_sites(
        primitive.cell,
        primitive.scaled_positions,
        primitive.symbols,
        supercell.cell,
        (supercell.positions if positions is None else positions)[None],
        supercell.symbols,
    )


@pytest.fixture(scope="module")
def run(cubic):
    """32 atoms, 100 ps."""
    return langevin(cubic, damping, frames=5000)


@pytest.fixture(scope="module")
def lines(cubic, run):
    return mode_linewidths(cubic, sites_of(cubic), [run.velocities], run.interval_fs)


def test_known_linewidths_are_found_within_their_errors(lines):
    vibrations = lines.kinds != LineKind.TRANSLATION
    assert np.count_nonzero(~vibrations) == 3
    assert np.all(lines.kinds[vibrations] == LineKind.RESOLVED)
    expected = damping(lines.frequencies_thz) / (4 * np.pi)
    # One pull for each set of degenerate modes.
    labels = degenerate_sets(lines.frequencies_thz)
    own = vibrations & (np.diff(labels, axis=1, prepend=-1) > 0)
    for found, errors, known in (
        (lines.gamma_thz, lines.gamma_errors_thz, expected),
        (lines.line_frequencies_thz, lines.line_frequency_errors_thz, lines.frequencies_thz),
    ):
        pulls = ((found - known)[own]) / errors[own]
        # 23 independent lines: the mean is good to 0.21, the spread to 0.15; three of these
        assert abs(pulls.mean()) < 0.63
        assert 0.55 < pulls.std() < 1.45
        assert np.mean(np.abs(pulls) < 2) > 0.8  # 95 % expected; fewer than 19 of 23 has a chance of 1 %
    # Errors small enough that a factor of two in the convention would be seen in any mode.
    assert np.median(lines.gamma_errors_thz[own] / expected[own]) < 0.15


def test_equipartition(lines):
    assert lines.temperature_K == pytest.approx(300, rel=0.02)  # 189 modes, about 60 lifetimes each: 1 %
    assert 0.4 < lines.equipartition < 1.8  # reduced chi-squared of 23 numbers, some threefold: 0.4 about 1
    vibrations = lines.kinds != LineKind.TRANSLATION
    np.testing.assert_allclose(lines.line_shares[vibrations], 1, atol=0.1)  # background of nothing, some noise


def test_degenerate_modes_have_one_width(lines):
    for row, frequencies, gamma in zip(lines.kinds, lines.frequencies_thz, lines.gamma_thz, strict=True):
        labels = degenerate_sets(frequencies)
        for label in np.unique(labels[row != LineKind.TRANSLATION]):
            assert np.ptp(gamma[labels == label]) == 0


def test_basis_of_degenerate_modes_does_not_matter(cubic, run, lines, monkeypatch):
    rng = np.random.default_rng(0)
    solve = Phonons.from_phonopy

    def rotated(*arguments, **options):
        phonons = solve(*arguments, **options)
        for vectors, labels in zip(phonons.eigenvectors, degenerate_sets(phonons.frequencies_thz), strict=True):
            for label in np.unique(labels):
                own = np.flatnonzero(labels == label)
                unitary, _ = np.linalg.qr(rng.normal(size=(len(own), len(own), 2)) @ [1, 1j])
                vectors[:, own] = vectors[:, own] @ unitary
        return phonons

    monkeypatch.setattr(Phonons, "from_phonopy", rotated)
    again = mode_linewidths(cubic, sites_of(cubic), [run.velocities], run.interval_fs)
    # sums of squares in another order, and where the search for the maximum stops: far below the errors of 10 %
    np.testing.assert_allclose(again.gamma_thz, lines.gamma_thz, rtol=1e-4)


def test_order_of_atoms_and_blocks_do_not_matter(cubic, run, lines, monkeypatch):
    shuffled = np.random.default_rng(0).permutation(len(cubic.supercell))
    primitive, supercell = cubic.primitive, cubic.supercell
    sites = find_sites(
        primitive.cell,
        primitive.scaled_positions,
        primitive.symbols,
        supercell.cell,
        supercell.positions[None, shuffled] + 0.7,
        [supercell.symbols[i] for i in shuffled],
    )
    monkeypatch.setattr(mode_projection, "BLOCK_BYTES", 1)
    again = mode_linewidths(cubic, sites, [run.velocities[:, shuffled]], run.interval_fs)
    np.testing.assert_allclose(again.gamma_thz, lines.gamma_thz, rtol=1e-4)  # as above


def test_two_runs_and_temperature_of_both(cubic, run, lines):
    half = len(run.velocities) // 2
    pieces = [run.velocities[:half], run.velocities[half:]]
    again = mode_linewidths(cubic, sites_of(cubic), pieces, run.interval_fs)
    assert again.run_time_ps == pytest.approx(lines.run_time_ps / 2)
    # the same kinetic energy, now without the edges of two blocks
    assert again.temperature_K == pytest.approx(lines.temperature_K, rel=1e-3)
    vibrations = lines.kinds != LineKind.TRANSLATION
    ratio = again.gamma_thz[vibrations] / lines.gamma_thz[vibrations]
    # the same data but for correlations over the cut: closer than the errors of 10 %
    assert np.median(np.abs(ratio - 1)) < 0.05


def test_narrow_and_overdamped_lines_are_flagged(tetragonal):
    def rates(frequencies):
        return np.where(frequencies < 2.5, 60.0, np.where(frequencies > 4.5, 0.002, 1.0))

    run = langevin(tetragonal, rates, frames=5000, seed=3)
    found = mode_linewidths(tetragonal, sites_of(tetragonal), [run.velocities], run.interval_fs)
    slow, fast = found.frequencies_thz < 2.4, found.frequencies_thz > 4.6
    slow &= found.kinds != LineKind.TRANSLATION
    assert np.all(found.kinds[slow] == LineKind.OVERDAMPED)
    # A single mode may look broader than it is by chance (8 % of them on this scale), no two of these eight.
    assert np.count_nonzero(found.kinds[fast] != LineKind.UNRESOLVED) <= 1
    fast &= found.kinds == LineKind.UNRESOLVED
    # 0.00016 THz, where 100 ps tell 0.0016 THz: a bound, not a value, and not zero
    assert np.all(found.gamma_thz[fast] >= found.resolution_thz)
    assert np.all(found.gamma_thz[fast] < 0.03)
    assert np.all(found.gamma_errors_thz[fast] == 0)
    assert found.resolution_thz == pytest.approx(0.00159, rel=0.01)
    assert sum(found.fraction(kind) for kind in list(LineKind)[:4]) == pytest.approx(1)


def test_mixed_modes_are_not_one_line(cubic, run, monkeypatch):
    """Half of one mode and half of another in each of two projections: two lines apart."""
    solve = Phonons.from_phonopy

    def mixed(*arguments, **options):
        phonons = solve(*arguments, **options)
        low, high = phonons.eigenvectors[:, :, 3].copy(), phonons.eigenvectors[:, :, -1].copy()
        phonons.eigenvectors[:, :, 3], phonons.eigenvectors[:, :, -1] = low + high, low - high
        phonons.eigenvectors[:, :, [3, -1]] /= np.sqrt(2)
        return phonons

    monkeypatch.setattr(Phonons, "from_phonopy", mixed)
    found = mode_linewidths(cubic, sites_of(cubic), [run.velocities], run.interval_fs)
    # At X and M. At Gamma and R one of three degenerate modes is mixed: a sixth of the power of their mean.
    assert np.all(found.kinds[1:3, [3, -1]] == LineKind.NOT_ONE_LINE)
    assert np.count_nonzero(found.kinds[1:3] == LineKind.NOT_ONE_LINE) <= 8  # and their degenerate partners


@pytest.mark.parametrize(
    ("frames", "interval_fs", "message"),
    [(100, 20.0, "too short"), (3000, 120.0, "cannot follow"), (100, 0.0, "positive")],
)
def test_bad_times(tetragonal, frames, interval_fs, message):
    with pytest.raises(ValueError, match=message):
        mode_linewidths(tetragonal, sites_of(tetragonal), [np.ones((frames, 16, 3))], interval_fs)
