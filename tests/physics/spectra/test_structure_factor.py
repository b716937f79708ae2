"""S(Q, E) of runs: dynasor, exact sum rules, a crystal whose phonons and linewidths are known."""

from itertools import combinations_with_replacement

import numpy as np
import pytest
from ase import Atoms
from damped_crystal import emt_crystal, langevin

from aiida_iontherm.physics.spectra.detailed_balance import HBAR2_PER_AMU, KB_MEV, MEV_PER_THZ
from aiida_iontherm.physics.spectra.dho_fit import Damping, fit_dho
from aiida_iontherm.physics.spectra.one_phonon import mean_square_displacements, one_phonon
from aiida_iontherm.physics.spectra.probes import scattering_weights
from aiida_iontherm.physics.spectra.q_paths import commensurate_path, read_corners
from aiida_iontherm.physics.spectra.resolution import Resolution
from aiida_iontherm.physics.spectra.structure_factor import (
    Densities,
    bytes_needed,
    quantum,
    self_correlation,
    structure_factor,
)
from aiida_iontherm.physics.units import AMU, KB

CELL = np.diag([10.0, 12.0, 14.0])
SYMBOLS = ["Cu", "I", "I", "Cu", "Cs"] * 8
INTERVAL = 20.0
FWHM = 6.0


@pytest.fixture(scope="module")
def path():
    return commensurate_path(read_corners("0,0,0 2,0,0 2,1,1/2", CELL / 2), CELL / 2, CELL)


@pytest.fixture(scope="module")
def walk():
    """Atoms that vibrate and diffuse [500, 40, 3]."""
    rng = np.random.default_rng(2)
    start = rng.random((len(SYMBOLS), 3)) @ CELL
    return start + np.cumsum(0.08 * rng.normal(size=(500, len(SYMBOLS), 3)), axis=0)


def computed(positions, path, own=False, **options):
    densities = Densities(SYMBOLS, CELL, path.vectors)
    for part in np.array_split(positions, 3):  # chunks, as a file is read
        densities.add(part)
    selfs = None
    if own:
        fwhm = options.get("fwhm_mev")
        selfs = [self_correlation(positions, SYMBOLS, CELL, path.vectors, INTERVAL, fwhm)]
    return structure_factor([densities.values()], densities.species, densities.counts, INTERVAL, own=selfs, **options)


def integral(result, values):
    """Over both sides of an even spectrum up to Nyquist's energy."""
    return (2 * values.sum(axis=-1) - values[..., 0] - values[..., -1]) * result.energies_mev[1]


class DynasorRun:
    """What dynasor needs of a trajectory, from an array."""

    has_positions, has_velocities, frame_step = True, False, 1

    def __init__(self, positions):
        from dynasor.trajectory.trajectory_frame import TrajectoryFrame

        names = np.array(SYMBOLS)
        self.cell, self.n_atoms = CELL, len(SYMBOLS)
        self.atomic_indices = {name: np.flatnonzero(names == name).tolist() for name in sorted(set(SYMBOLS))}
        self.atom_types = sorted(self.atomic_indices)
        self.number_of_frames_read = 0
        self._frames = (TrajectoryFrame(self.atomic_indices, i, frame) for i, frame in enumerate(positions))

    def __iter__(self):
        return self

    def __next__(self):
        frame = next(self._frames)
        self.number_of_frames_read += 1
        return frame


@pytest.mark.slow  # dynasor compiles its kernels
def test_correlations_are_those_of_dynasor(walk, path):
    dynasor = pytest.importorskip("dynasor")
    walk = walk[:200]
    fwhm = 3 * FWHM
    result = computed(walk, path, own=True, fwhm_mev=fwhm, elastic_apart=False)
    lags = round(result.longest_lag_ps * 1e3 / INTERVAL)
    theirs = dynasor.compute_dynamic_structure_factors(
        DynasorRun(walk), path.vectors, INTERVAL, lags, calculate_incoherent=True, logging_interval=0
    )
    # their F(Q, t) by a plain cosine sum with the Gaussian of the resolution
    times = INTERVAL * 1e-3 * np.arange(lags + 1)
    hbar = MEV_PER_THZ / (2 * np.pi)
    window = np.exp(-0.5 * (fwhm / np.sqrt(8 * np.log(2)) / hbar * times) ** 2)
    cosines = np.cos(np.outer(times, result.energies_mev) / hbar) * (window * np.where(times > 0, 2, 1))[:, None]
    scale = INTERVAL * 1e-3 / (2 * np.pi * hbar)
    for pair, ours in zip(result.pairs, result.partial, strict=True):
        expected = scale * theirs[f"Fqt_coh_{'_'.join(pair)}"] @ cosines
        # two ways to sum 500 products
        np.testing.assert_allclose(ours, expected, atol=1e-12 * np.abs(expected).max())
    assert result.pairs == tuple(combinations_with_replacement(("Cs", "Cu", "I"), 2))
    for name, ours in zip(result.elements, result.own, strict=True):
        expected = scale * theirs[f"Fqt_incoh_{name}"] @ cosines
        # the phase of an atom stays near one place on average, which we treat apart: noise of the order of 1/frames
        np.testing.assert_allclose(ours, expected, atol=0.05 * np.abs(expected).max())


@pytest.mark.parametrize("apart", [True, False])
def test_integral_is_the_static_structure_factor(walk, path, apart):
    result = computed(walk, path, own=True, fwhm_mev=FWHM, elastic_apart=apart)
    phases = np.exp(1j * np.einsum("qa,fna->fqn", path.vectors, walk))
    names = np.array(SYMBOLS)
    densities = {name: phases[:, :, names == name].sum(axis=2) for name in result.elements}
    for number, (a, b) in enumerate(result.pairs):
        expected = (densities[a] * densities[b].conj()).real.mean(axis=0) * (1 if a == b else 2) / len(SYMBOLS)
        np.testing.assert_allclose(result.static[number], expected, atol=1e-10)  # sums of 500 x 16 phases
        # exact for any resolution: the sum over the grid is F(0), and the Gaussian is 1.7 steps wide or more
        np.testing.assert_allclose(integral(result, result.partial[number]), expected, atol=1e-9)
    # the self part counts the atoms
    counts = [np.sum(names == name) / len(SYMBOLS) for name in result.elements]
    np.testing.assert_allclose(integral(result, result.own), np.repeat(counts, len(path)).reshape(3, -1), rtol=1e-9)


def test_wrapped_is_unwrapped(walk, path):
    wrapped = (walk @ np.linalg.inv(CELL) % 1) @ CELL
    one, two = (computed(positions, path, own=True, fwhm_mev=FWHM) for positions in (walk, wrapped))
    np.testing.assert_allclose(one.partial, two.partial, atol=1e-12 * one.partial.max())
    np.testing.assert_allclose(one.own, two.own, atol=1e-12 * one.own.max())


def test_weights(walk, path):
    result = computed(walk, path, own=True, fwhm_mev=FWHM)
    equal = result.coherent(scattering_weights(result.elements, path.norms, "density"))
    np.testing.assert_allclose(equal.values, result.partial.sum(axis=0), rtol=1e-12, atol=1e-15)
    weights = scattering_weights(result.elements, path.norms, "xray")
    # densities weighted before they are correlated
    densities = Densities(SYMBOLS, CELL, path.vectors)
    densities.add(walk)
    summed = np.einsum("qa,aqf->qf", weights.coherent, densities.values())[None]
    direct = structure_factor([summed], ["all"], [len(SYMBOLS)], INTERVAL, fwhm_mev=FWHM)
    seen = result.coherent(weights)
    np.testing.assert_allclose(seen.values, direct.partial[0], atol=1e-10 * seen.values.max())
    np.testing.assert_allclose(result.static_structure_factor(weights), direct.static[0], rtol=1e-10)
    own = result.incoherent(scattering_weights(result.elements, path.norms, "neutron"))
    assert own.unit == "fm^2"
    assert np.all(own.values[:, 0] > 0)
    np.testing.assert_allclose(result.coherent(weights).errors.shape, own.errors.shape)


def test_two_halves_are_two_runs(walk, path):
    """Runs count by their origins of time: joined runs differ from one run by the products across the border only."""
    densities = Densities(SYMBOLS, CELL, path.vectors)
    densities.add(walk)
    values = densities.values()
    halves = [values[:, :, :250], values[:, :, 250:]]
    both = structure_factor(halves, densities.species, densities.counts, INTERVAL, fwhm_mev=3 * FWHM)
    first = structure_factor(halves[:1], densities.species, densities.counts, INTERVAL, fwhm_mev=3 * FWHM)
    second = structure_factor(halves[1:], densities.species, densities.counts, INTERVAL, fwhm_mev=3 * FWHM)
    np.testing.assert_allclose(both.partial, (first.partial + second.partial) / 2, atol=1e-12 * both.partial.max())
    assert len(both.blocks) == len(first.blocks) + len(second.blocks)
    assert both.time_ps == 10.0


def test_detailed_balance(walk, path):
    result = computed(walk, path, fwhm_mev=FWHM)
    classical = result.coherent(scattering_weights(result.elements, path.norms, "density"))
    both = quantum(classical, 300.0)
    middle = len(both.energies_mev) // 2
    assert both.energies_mev[middle] == 0
    np.testing.assert_allclose(both.energies_mev[:middle][::-1], -both.energies_mev[middle + 1 :])
    balance = np.exp(-both.energies_mev[middle:] / (KB_MEV * 300))
    np.testing.assert_allclose(both.values[:, middle::-1], both.values[:, middle:] * balance, rtol=1e-9)
    np.testing.assert_allclose(both.values[:, middle], classical.values[:, 0])


def test_ideal_gas(path):
    """S_self is a Gaussian of variance hbar^2 Q^2 kT/m, the f-sum rule of classical atoms, and the resolution's."""
    rng = np.random.default_rng(4)
    temperature, mass, interval, fwhm = 300.0, 63.5, 10.0, 4.0
    speed = np.sqrt(KB * temperature / (mass * AMU)) * 1e-2  # Angstrom/ps
    atoms = 2000
    symbols = ["Cu"] * atoms
    start, velocity = rng.random((atoms, 3)) @ CELL, speed * rng.normal(size=(atoms, 3))
    moving = (start + 1e-3 * interval * np.arange(700)[:, None, None] * velocity).astype(np.float32)
    vectors, norms = path.vectors[2:5], path.norms[2:5]
    own = self_correlation(moving, symbols, CELL, vectors, interval, fwhm)
    values = np.ones((1, 3, 700), dtype=complex)
    result = structure_factor([values], ["Cu"], [atoms], interval, fwhm_mev=fwhm, own=[own])
    for spectrum, norm in zip(result.own[0], norms, strict=True):
        variance = HBAR2_PER_AMU * norm**2 * KB_MEV * temperature / mass + fwhm**2 / (8 * np.log(2))
        expected = np.exp(-(result.energies_mev**2) / (2 * variance)) / np.sqrt(2 * np.pi * variance)
        # 2000 velocities fill their distribution to 1/sqrt(2000) = 2 % within its width
        np.testing.assert_allclose(spectrum, expected, atol=0.04 * expected.max())
        near = result.energies_mev < 5 * np.sqrt(variance)
        moment = 2 * np.sum((result.energies_mev**2 * spectrum)[near]) * result.energies_mev[1]
        # mean square velocity: sqrt(2/2000) = 3 %
        assert moment == pytest.approx(variance, rel=0.1)


@pytest.fixture(scope="module")
def crystal():
    cell = Atoms("AuCu3", cell=3.74 * np.eye(3), pbc=True)
    cell.set_scaled_positions([(0, 0, 0), (0.5, 0.5, 0), (0.5, 0, 0.5), (0, 0.5, 0.5)])
    return emt_crystal(cell, np.diag([2, 2, 2]))


RATE = 1.2
"""Damping of all modes in 1/ps."""


@pytest.fixture(scope="module")
def cold(crystal):
    """S(Q, E) of 400 ps at 4 K, where one phonon is all there is, and the path."""
    run = langevin(crystal, lambda f: np.full(len(f), RATE), frames=16000, interval_fs=25.0, temperature=4.0, seed=3)
    cell = np.array(crystal.supercell.cell)
    path = commensurate_path(
        read_corners("3,0,0 3,1,0 2,1/2,1/2", crystal.primitive.cell), crystal.primitive.cell, cell
    )
    densities = Densities(crystal.supercell.symbols, cell, path.vectors)
    densities.add(crystal.supercell.positions + run.displacements)
    result = structure_factor(
        [densities.values()], densities.species, densities.counts, 25.0, fwhm_mev=0.6, max_energy_mev=35.0
    )
    return result, path


def test_crystal_scatters_as_its_phonons(crystal, cold):
    """The run against force constants with the same damping: two codes with nothing in common."""
    result, path = cold
    weights = scattering_weights(result.elements, path.norms, "neutron")
    seen = result.coherent(weights)
    thermal = mean_square_displacements(crystal, 4.0, mesh=(2, 2, 2), classical=True)
    modes = one_phonon(crystal, path.vectors, weights, 4.0, thermal=thermal, classical=True)
    gamma = RATE / (4 * np.pi) * MEV_PER_THZ
    expected = modes.spectrum(result.energies_mev, Resolution(0.6), gamma)
    inelastic = result.energies_mev > 2.5
    step = result.energies_mev[1]
    assert len(path) == 4
    for values, errors, model in zip(seen.values, seen.errors, expected, strict=True):
        area, wanted = values[inelastic].sum() * step, model[inelastic].sum() * step
        # 400 ps at 1.2/ps: some 500 independent energies of each mode, and a few modes at each Q
        assert area == pytest.approx(wanted, rel=0.15)
        deviations = ((values - model) / errors)[inelastic]
        # ten blocks: t distribution of 9 degrees, variance 9/7
        assert np.mean(deviations**2) == pytest.approx(9 / 7, rel=0.5)
    total = seen.values[:, inelastic].sum() * step
    assert total == pytest.approx(expected[:, inelastic].sum() * step, rel=0.06)


@pytest.mark.parametrize("point", [(3, 0, 0), (3, 1, 0)])
def test_fitted_lines_are_the_phonons(crystal, cold, point):
    result, path = cold
    q = int(np.argmin(np.abs(path.points - point).max(axis=1)))
    weights = scattering_weights(result.elements, path.norms, "neutron")
    modes = one_phonon(crystal, path.vectors, weights, 4.0, classical=True)
    # classical: kT/E
    intensities = modes.strengths[q] / np.where(modes.strengths[q] > 0, modes.energies_mev[q], 1)
    seen_ones = intensities > 0.01 * intensities.max()
    energies = np.unique(modes.energies_mev[q, seen_ones].round(4))
    assert len(energies) in (2, 3)
    cut = (result.energies_mev > 8) & (result.energies_mev < 32)
    fit = fit_dho(
        result.energies_mev[cut],
        result.coherent(weights).values[q, cut],
        Resolution(result.fwhm_mev),
        lines=len(energies),
        proportional=True,
        correlated_points=result.correlated_points,
        background=False,
    )
    gamma = RATE / (4 * np.pi) * MEV_PER_THZ
    for line, energy in zip(fit.lines, energies, strict=True):
        # 4 standard errors, of ten numbers in all
        assert abs(line.energy_mev - energy) < 4 * line.energy_error_mev
        assert abs(line.gamma_mev - gamma) < 4 * line.gamma_error_mev
        assert line.damping == Damping.UNDERDAMPED
    # the width is found, not only an error bar that is large enough
    assert min(line.gamma_error_mev for line in fit.lines) < 0.25 * gamma


def test_error_bars_are_the_scatter_of_runs(path):
    """Independent short runs of white noise: mean error bar against their true scatter."""
    rng = np.random.default_rng(6)
    values, errors = [], []
    for _ in range(40):
        noise = rng.normal(size=(1, 3, 800)) + 1j * rng.normal(size=(1, 3, 800))
        result = structure_factor([noise], ["Cu"], [1], INTERVAL, fwhm_mev=3.0)
        values.append(result.partial[0])
        spread = result.blocks[:, 0]
        errors.append(spread.std(axis=0, ddof=1) / np.sqrt(len(spread)))
    ratio = np.mean(errors) / np.std(values, axis=0, ddof=1).mean()
    # blocks lose what reaches across their borders; means over hundreds of energies
    assert ratio == pytest.approx(1, abs=0.12)


def test_too_short_for_the_resolution(walk, path):
    with pytest.raises(ValueError, match=r"10 ps cannot resolve 0.5 meV: that takes (\d+\.?\d*) ps") as caught:
        computed(walk, path, fwhm_mev=0.5)
    needed = float(str(caught.value).split("takes ")[1].split(" ps")[0])
    longer = np.concatenate([walk] * int(np.ceil(needed / 10)))
    assert computed(longer, path, fwhm_mev=0.5).fwhm_mev == 0.5
    default = computed(walk, path)
    assert len(default.blocks) >= 7
    with pytest.raises(ValueError, match="20 frames are too few"):
        computed(walk[:20], path)


def test_memory_is_said(path):
    assert bytes_needed(3, 100, 10_000) == pytest.approx(16 * 3 * 100 * 10_000 * 2, rel=0.05)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"max_energy_mev": 200.0}, "up to 103.4 meV"),
        ({"fwhm_mev": 900.0}, "makes no sense"),
        ({"fwhm_mev": -1.0}, "must be positive"),
    ],
)
def test_bad_grids(walk, path, options, words):
    with pytest.raises(ValueError, match=words):
        computed(walk, path, **options)


def test_bad_positions(walk, path):
    broken = walk.copy()
    broken[7, 3, 1] = np.nan
    densities = Densities(SYMBOLS, CELL, path.vectors)
    with pytest.raises(ValueError, match="no frames"):
        densities.values()
    with pytest.raises(ValueError, match="NaN"):
        densities.add(broken)
    with pytest.raises(ValueError, match="do not fit 40 atoms"):
        densities.add(walk[:, :5])
    with pytest.raises(ValueError, match="NaN"):
        self_correlation(broken, SYMBOLS, CELL, path.vectors, INTERVAL)
    with pytest.raises(ValueError, match="does not fit into the cell"):
        Densities(SYMBOLS, CELL, path.vectors + 0.01)
    with pytest.raises(ValueError, match="time between frames"):
        structure_factor([np.ones((1, 1, 99), complex)], ["Cu"], [1], 0.0)
    with pytest.raises(ValueError, match="NaN"):
        structure_factor([np.full((1, 1, 99), np.nan + 0j)], ["Cu"], [1], 1.0)
    with pytest.raises(ValueError, match="do not fit the species"):
        structure_factor([np.ones((2, 1, 99), complex)], ["Cu"], [1], 1.0)
    result = computed(walk, path, fwhm_mev=FWHM)
    with pytest.raises(ValueError, match="self parts were not computed"):
        result.incoherent(scattering_weights(result.elements, path.norms, "density"))
