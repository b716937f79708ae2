"""Densities, free energies, percolation, sites and van Hove functions against analytic landscapes and walks."""

import numpy as np
import pytest
from lattice_walkers import STEP_FS, STEP_PS, TRICLINIC, walkers

from aiida_iontherm.physics.ions import (
    DensityMap,
    density_map,
    equivalent_labels,
    find_hops,
    find_stays,
    logarithmic_lags,
    percolation_barriers,
    percolation_quantities,
    percolation_thresholds,
    polyhedra,
    sites_from_crystal,
    sites_from_density,
    van_hove,
)
from aiida_iontherm.physics.units import KB_EV

T = 600.0


def fractions(*shape):
    return np.meshgrid(*(np.arange(n) / n for n in shape), indexing="ij")


def boltzmann_sample(seed, samples, barriers_ev, cell):
    """Points with density exp(-V/kT), V = sum_a E_a/2 (1 - cos 2 pi f_a) in fractional coordinates: by rejection."""
    rng = np.random.default_rng(seed)
    kept = []
    for barrier in barriers_ev:
        axis = np.empty(0)
        while len(axis) < samples:
            f = rng.random(4 * samples)
            accepted = rng.random(4 * samples) < np.exp(-barrier / 2 * (1 - np.cos(2 * np.pi * f)) / (KB_EV * T))
            axis = np.concatenate([axis, f[accepted]])
        kept.append(axis[:samples])
    return np.stack(kept, axis=1) @ cell


def test_density_counts_every_ion_and_adds_up():
    positions, _ = walkers(0, 200, 12, 0.1, cell=TRICLINIC)
    cell = 8 * TRICLINIC
    whole = density_map(positions, cell, spacing_A=0.5)
    assert whole.counts.sum() == 200 * 12
    assert whole.density.sum() * whole.voxel_volume == pytest.approx(12)
    halves = density_map(positions[:100], cell, spacing_A=0.5) + density_map(positions[100:], cell, spacing_A=0.5)
    np.testing.assert_array_equal(halves.counts, whole.counts)
    assert halves.frames == 200
    # laid on each other, 512 cells hold 12 ions: 12/512 each
    folded = density_map(positions, cell, spacing_A=0.5, repeats=(8, 8, 8))
    assert folded.density.sum() * folded.voxel_volume == pytest.approx(12 / 512)
    np.testing.assert_allclose(folded.cell, TRICLINIC)
    # the site is in the corner of the cell: most ions in the eight voxels around it
    assert folded.counts[[0, 0, -1, -1], [0, -1, 0, -1], [0, 0, 0, 0]].min() > 5 * folded.counts.mean()


def test_free_energy_of_a_boltzmann_density():
    cell = np.diag([6.0, 6.0, 6.0])
    points = boltzmann_sample(1, 400_000, (0.15, 0.0, 0.0), cell)
    density = density_map(points.reshape(400, 1000, 3), cell, spacing_A=0.25)
    along = density.counts.sum(axis=(1, 2))
    energy = -KB_EV * T * np.log(along / along.max())
    f = (np.arange(len(along)) + 0.5) / len(along)
    expected = 0.15 / 2 * (1 - np.cos(2 * np.pi * f))
    expected -= expected.min()
    # at the top exp(-2.9) of about 50000: 2500 counts or 2 %, that is 0.001 eV; five of them
    np.testing.assert_allclose(energy, expected, atol=0.006)
    assert density.free_energy(T).min() == 0.0
    empty = DensityMap(counts=np.array([[[4, 0, 1]]]), cell=cell, frames=1).free_energy(T)
    np.testing.assert_allclose(empty.ravel(), [0, np.inf, KB_EV * T * np.log(4)])


def test_thresholds_of_a_cosine_landscape():
    """V = sum E_a/2 (1 - cos): along a straight line through the minima the top is E_a, and no way around is lower."""
    barriers = (0.1, 0.25, 0.6)
    x = fractions(40, 30, 50)  # even numbers: minimum and saddle are grid points
    energy = sum(e / 2 * (1 - np.cos(2 * np.pi * f)) for e, f in zip(barriers, x, strict=True))
    np.testing.assert_allclose(percolation_thresholds(energy), barriers, atol=1e-12)
    # shifted, the path crosses the boundary elsewhere
    shifted = np.roll(energy, (7, 11, 23), axis=(0, 1, 2))
    np.testing.assert_allclose(percolation_thresholds(shifted), barriers, atol=1e-12)
    # and axes may be exchanged
    np.testing.assert_allclose(percolation_thresholds(energy.transpose(2, 0, 1)), [0.6, 0.1, 0.25], atol=1e-12)


def test_threshold_of_a_diagonal_and_of_a_wall():
    # a tube along the diagonal of x and y, closed along z: a staircase of faces
    n = 12
    energy = np.full((n, n, n), np.inf)
    i = np.arange(n)
    energy[i, i, 3] = 1.0
    energy[(i + 1) % n, i, 3] = 1.5
    np.testing.assert_array_equal(percolation_thresholds(energy), [1.5, 1.5, np.inf])
    # a helix that winds twice around x before it closes: x, and nothing else
    energy = np.full((6, 6, 6), np.inf)
    energy[:, 1, 1] = energy[:, 3, 1] = 0.0
    energy[0, 1, 1] = 2.0
    energy[0, 3, 1] = 1.0
    np.testing.assert_array_equal(percolation_thresholds(energy), [1.0, np.inf, np.inf])
    # a loop that crosses a boundary and comes back does not wind
    energy = np.full((6, 6, 6), np.inf)
    energy[5, 1, 1] = energy[0, 1, 1] = energy[0, 2, 1] = energy[5, 2, 1] = 0.0
    assert np.all(np.isinf(percolation_thresholds(energy)))
    assert np.all(np.isinf(percolation_thresholds(np.full((4, 4, 4), np.inf))))


def test_thresholds_of_the_gyroid_and_the_primitive_surface():
    """Level sets of which the critical values are known.

    cos x + cos y + cos z < c: the bodies around (pi, pi, pi) touch at c = -1, in the middle of the faces, where two
    cosines are -1 and one is 1. The gyroid sin x cos y + sin y cos z + sin z cos x has necks at c = -sqrt 2.
    """
    n = 48
    x, y, z = (2 * np.pi * f for f in fractions(n, n, n))
    np.testing.assert_allclose(percolation_thresholds(np.cos(x) + np.cos(y) + np.cos(z)), -1.0, atol=1e-9)
    gyroid = np.sin(x) * np.cos(y) + np.sin(y) * np.cos(z) + np.sin(z) * np.cos(x)
    # the necks lie on grid points to second order: (pi/24)^2/2 = 0.01
    np.testing.assert_allclose(percolation_thresholds(gyroid), -np.sqrt(2), atol=0.02)


def test_spheres_percolate_when_they_touch():
    """The distance from the points of a lattice percolates at half the lattice constant, along each axis its own."""
    shape, lengths = (40, 30, 24), (4.0, 6.0, 5.0)
    steps = [np.minimum(f, 1 - f) * length for f, length in zip(fractions(*shape), lengths, strict=True)]
    distance = np.sqrt(sum(s**2 for s in steps))
    np.testing.assert_allclose(percolation_thresholds(distance), np.array(lengths) / 2, atol=1e-9)


@pytest.mark.parametrize("cell", [np.diag([4.0, 4.5, 5.0]), 1.5 * TRICLINIC], ids=["orthorhombic", "triclinic"])
def test_barriers_from_samples(cell):
    barriers = (0.06, 0.12, 0.45)
    points = boltzmann_sample(4, 800_000, barriers, cell).reshape(8, 1000, 100, 3)
    result = percolation_barriers([density_map(part, cell, spacing_A=0.35) for part in points], T)
    # voxels of 0.35 A blur the landscape: at the minima by E/2 (pi h/L)^2/6 each, below 0.006 eV in sum, and the noise
    # of the extreme voxels is a few hundredths of kT = 0.052 eV
    np.testing.assert_allclose(result.barriers_ev[:2], barriers[:2], atol=0.012)
    assert result.converged[:2] == (True, True)
    assert np.all(result.uncertainties_ev[:2] < 0.01)
    # exp(-0.45/kT) = 2e-4 of the density of the minimum: a handful of visits, seen or not, but never far below
    assert result.barriers_ev[2] > 0.35
    records = {q.direction: q for q in percolation_quantities(result, "Cu")}
    assert records["a"].value == result.barriers_ev[0]
    assert records["a"].unit == "eV"


def test_barrier_that_was_not_crossed_is_a_bound():
    cell = np.diag([4.0, 4.5, 5.0])
    points = boltzmann_sample(5, 80_000, (0.05, 0.05, 1.5), cell).reshape(4, 200, 100, 3)
    result = percolation_barriers([density_map(part, cell, spacing_A=0.5) for part in points], T)
    assert np.isinf(result.barriers_ev[2])
    record = percolation_quantities(result, "Cu")[2]
    assert record.bound == "lower"
    assert 0.2 < record.value < 1.5  # kT ln of the fullest voxel, below the truth


def test_sites_of_the_density_are_the_lattice():
    positions, _ = walkers(3, 3000, 30, 2.0, cell=TRICLINIC, box=4)
    density = density_map(positions, 4 * TRICLINIC)
    sites = sites_from_density(density)
    assert len(sites) == 64
    # 3000 x 30 / 64 samples of 0.25 A a site, if all were independent 0.007 A; visits of 0.5 ps are 12 of them
    offsets = 4 * sites.fractional - np.rint(4 * sites.fractional)
    assert np.abs(offsets @ TRICLINIC).max() < 0.06
    assert sites.occupancies.sum() == pytest.approx(30, rel=1e-9)
    assert sites.occupancies.min() > 0.2  # 30/64 on average
    # all points of a lattice are equivalent
    assert set(equivalent_labels(sites, name="Cu")) == {"Cu"}
    # and the hops between them are those between the exact points
    exact = sites_from_crystal([[0, 0, 0]], TRICLINIC, cell=4 * TRICLINIC)
    found = [len(find_hops(find_stays(positions, STEP_FS, s))) for s in (sites, exact)]
    assert found[0] == pytest.approx(found[1], rel=0.01)  # cores that differ by 0.06 A; hundreds of hops


def test_close_maxima_are_merged_and_thin_ones_dropped():
    cell = np.diag([8.0, 8.0, 8.0])
    rng = np.random.default_rng(0)
    centres = np.array([[1.0, 1, 1], [1.8, 1, 1], [5.0, 5, 5], [2.0, 6.0, 2.0]])
    weights = [0.245, 0.245, 0.5, 0.01]
    which = rng.choice(4, 40_000, p=weights)
    positions = (centres[which] + rng.normal(0, 0.12, (40_000, 3))).reshape(20_000, 2, 3)
    sites = sites_from_density(density_map(positions, cell), min_occupancy=0.05)
    assert len(sites) == 2
    order = np.argsort(sites.fractional[:, 0])
    # the split pair is one site in the middle, to the voxels of 0.3 A
    np.testing.assert_allclose(sites.fractional[order] * 8, [[1.4, 1, 1], [5, 5, 5]], atol=0.1)
    assert len(sites_from_density(density_map(positions, cell), merge_radius_A=0.5, smoothing_A=0.1)) >= 3


def test_sites_of_a_crystal_fill_a_sheared_supercell():
    matrix = np.array([[2, 1, 0], [0, 2, 0], [-1, 0, 3]])
    sites = sites_from_crystal([[0.1, 0.2, 0.3], [0.6, 0.7, 0.9]], TRICLINIC, cell=1.02 * matrix @ TRICLINIC)
    assert len(sites) == 2 * 12
    # each is an image of one of the two under the lattice of the small cell
    small = sites.fractional @ matrix
    for point in ([0.1, 0.2, 0.3], [0.6, 0.7, 0.9]):
        offset = small - point
        assert np.sum(np.all(np.abs(offset - np.rint(offset)) < 1e-9, axis=1)) == 12
    with pytest.raises(ValueError, match="no repetition"):
        sites_from_crystal([[0, 0, 0]], TRICLINIC, cell=np.diag([7.0, 7.4, 9.0]))
    with pytest.raises(ValueError, match="given twice"):
        sites_from_crystal([[0, 0, 0], [1, 0, 0]], TRICLINIC)
    with pytest.raises(ValueError, match="no sites"):
        sites_from_crystal(np.zeros((0, 3)), TRICLINIC)


def test_tetrahedra_and_labels_of_antifluorite():
    """Eight tetrahedra and four octahedra of a face-centred lattice of anions."""
    cell = 6.0 * np.eye(3)
    anions = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
    tetrahedral = np.array([[x, y, z] for x in (0.25, 0.75) for y in (0.25, 0.75) for z in (0.25, 0.75)])
    octahedral = (anions + np.array([0.5, 0, 0])) % 1
    sites = sites_from_crystal(np.concatenate([tetrahedral, octahedral]), cell)
    labels = equivalent_labels(sites, (anions, np.full(4, 53)), name="Cu")
    assert len(set(labels[:8])) == len(set(labels[8:])) == 1
    assert labels[0] != labels[8]
    # two sites in each tetrahedron, 0.4 A to either side of its centre
    shift = np.array([0.03, 0, 0])
    pairs = np.concatenate([tetrahedral - shift, tetrahedral + shift])
    groups = polyhedra(sites_from_crystal(pairs, cell), anions)
    assert len(set(groups)) == 8
    np.testing.assert_array_equal(groups[:8], groups[8:])


def test_van_hove_of_brownian_motion():
    """G_s is a Gaussian of variance 2 D t along each axis; its non-Gaussian parameters vanish."""
    rng = np.random.default_rng(0)
    sigma = 0.15
    positions = np.cumsum(rng.normal(0, sigma, (3000, 60, 3)), axis=0)
    result = van_hove(positions, STEP_FS, [1, 10, 50], r_max_A=5.0)
    r = result.r_A
    for i, lag in enumerate((1, 10, 50)):
        variance = lag * sigma**2
        assert result.mean_square_A2[i] == pytest.approx(3 * variance, rel=0.1)  # 3 x 60 x 60 independent: 1 %, at most
        exact = np.exp(-(r**2) / (2 * variance)) / (2 * np.pi * variance) ** 1.5
        inside = r < 2 * np.sqrt(3 * variance)
        peak = exact.max()
        # beyond 0.6 A a bin holds more than 2 % of 3600 independent displacements (or of many more at shorter lags) or
        # is far below the peak
        compared = inside & (r > (0.6 if lag == 50 else 0.3 if lag == 10 else 0.1))
        np.testing.assert_allclose(result.self_part[i][compared], exact[compared], atol=0.06 * peak)
        # independent steps: 10800 at the longest lag, standard error of alpha_2 sqrt(8/15)/100 = 0.7 %
        assert abs(result.non_gaussian[i]) < 0.05
        assert np.all(np.abs(result.non_gaussian_axes[i]) < 0.08)
    shells = 4 / 3 * np.pi * ((r + 0.05) ** 3 - (r - 0.05) ** 3)
    np.testing.assert_allclose(result.self_part @ shells, 1, atol=2e-3)  # beyond 5 A, 4.7 sigma, lies 5e-5
    assert result.distinct_part is None


def test_non_gaussian_parameter_of_rare_hops():
    """Hops of length a along the axes, p of the ions in a lag: alpha_2 = 3/(5 p) - 1, along an axis 1/p - 1."""
    rng = np.random.default_rng(2)
    happens = rng.random((4000, 100)) < 0.1
    axis = rng.integers(0, 3, (4000, 100))
    steps = np.zeros((4000, 100, 3))
    np.put_along_axis(steps, axis[..., None], (happens * rng.choice([-3.0, 3.0], happens.shape))[..., None], axis=2)
    result = van_hove(np.cumsum(steps, axis=0), STEP_FS, [1])
    # <r^4>/<r^2>^2 = 1/p with p = 0.1: 40000 hops, 0.5 %; along an axis p/3 and 1/(3 p/3)
    assert result.non_gaussian[0] == pytest.approx(3 / (5 * 0.1) - 1, rel=0.03)
    np.testing.assert_allclose(result.non_gaussian_axes[0], 1 / 0.1 - 1, rtol=0.05)
    still = van_hove(np.ones((30, 4, 3)), STEP_FS, [0, 5])
    assert np.all(np.isnan(still.non_gaussian))


def test_van_hove_of_two_runs_is_that_of_all_their_displacements():
    rng = np.random.default_rng(6)
    runs = [np.cumsum(rng.normal(0, sigma, (frames, 12, 3)), axis=0) for sigma, frames in ((0.1, 80), (0.3, 200))]
    lags = [1, 9]
    one, two = (van_hove(run, STEP_FS, lags, cell=12 * np.eye(3)) for run in runs)
    both = one + two
    shells = 4 / 3 * np.pi * ((both.r_A + 0.05) ** 3 - (both.r_A - 0.05) ** 3)
    for i, lag in enumerate(lags):
        steps = np.concatenate([(run[lag:] - run[:-lag]).reshape(-1, 3) for run in runs])
        squares = np.sum(steps**2, axis=1)
        assert both.samples[i] == len(steps)
        assert both.mean_square_A2[i] == pytest.approx(squares.mean())
        assert both.non_gaussian[i] == pytest.approx(0.6 * np.mean(squares**2) / squares.mean() ** 2 - 1)
        alone = np.mean(steps**4, axis=0) / (3 * np.mean(steps**2, axis=0) ** 2) - 1
        np.testing.assert_allclose(both.non_gaussian_axes[i], alone)
        counts = np.histogram(np.sqrt(squares), np.arange(81) * 0.1)[0]
        # a distance on the edge of two bins may be rounded to either
        np.testing.assert_allclose(both.self_part[i] * shells * len(steps), counts, atol=1.01)
        weights = one.samples[i], two.samples[i]
        expected = np.average([one.distinct_part[i], two.distinct_part[i]], axis=0, weights=weights)
        np.testing.assert_allclose(both.distinct_part[i], expected)
    with pytest.raises(ValueError, match="same lags"):
        one + van_hove(runs[0], STEP_FS, [1, 8])


@pytest.mark.parametrize("cell", [np.diag([9.0, 10.0, 11.0]), 3 * TRICLINIC], ids=["orthorhombic", "triclinic"])
def test_distinct_part_of_an_ideal_gas_is_the_density(cell):
    rng = np.random.default_rng(1)
    positions = rng.random((300, 40, 3)) @ cell + 30 * rng.integers(-1, 2, (1, 40, 1))
    result = van_hove(positions, STEP_FS, [0, 7], cell=cell, r_max_A=6.0, bin_A=0.5)
    known = np.isfinite(result.distinct_part[0])
    height = 1 / np.linalg.norm(np.linalg.inv(cell), axis=0).max()
    assert result.r_A[known][-1] == pytest.approx(height / 2, abs=0.8)  # to the last whole bin below half the height
    # the other 39; 300 x 1560 pairs, in the first bins few: weighted by volume they agree to a per cent
    density = 39 / abs(np.linalg.det(cell))
    shells = result.r_A[known] ** 2
    for part in result.distinct_part[:, known]:
        assert np.average(part, weights=shells) == pytest.approx(density, rel=0.02)
        np.testing.assert_allclose(part[2:], density, rtol=0.15)


def test_distinct_part_keeps_the_neighbours_of_a_lattice():
    positions = np.stack(np.unravel_index(np.arange(64), (4, 4, 4)), axis=1) * 3.0
    still = np.broadcast_to(positions, (20, 64, 3))
    result = van_hove(still, STEP_FS, [0, 3], cell=12 * np.eye(3), bin_A=0.2)
    counts = result.distinct_part[1] * 4 / 3 * np.pi * (((result.r_A + 0.1) ** 3) - (result.r_A - 0.1) ** 3)
    assert counts[result.r_A < 2.9].max() == 0
    assert counts[15] == pytest.approx(6)  # neighbours at 3 A, bin 3.0 to 3.2
    assert logarithmic_lags(401)[-1] == 100


def test_bad_input():
    positions, _ = walkers(0, 60, 3, 0.1, cell=TRICLINIC)
    cell = 8 * TRICLINIC
    broken = positions.copy()
    broken[3, 0, 0] = np.inf
    for call in (
        lambda: density_map(broken, cell),
        lambda: van_hove(broken, STEP_FS, [1]),
    ):
        with pytest.raises(ValueError, match="NaN or infinite"):
            call()
    with pytest.raises(ValueError, match="no mobile ions"):
        density_map(positions[:, :0], cell)
    with pytest.raises(ValueError, match="in a plane"):
        density_map(positions, np.ones((3, 3)))
    with pytest.raises(ValueError, match="too large"):
        density_map(positions, cell, spacing_A=0.01)
    with pytest.raises(ValueError, match="lags"):
        van_hove(positions, STEP_FS, [60])
    with pytest.raises(ValueError, match="two parts"):
        percolation_barriers([density_map(positions, cell)], T)
    with pytest.raises(ValueError, match="3 x 3 x 3"):
        percolation_thresholds(np.zeros((2, 5, 5)))
    with pytest.raises(ValueError, match="NaN"):
        percolation_thresholds(np.full((5, 5, 5), np.nan))
    with pytest.raises(ValueError, match="one grid"):
        density_map(positions, cell) + density_map(positions, cell, spacing_A=0.5)
    with pytest.raises(ValueError, match="temperature"):
        density_map(positions, cell).free_energy(0)
    assert STEP_PS == STEP_FS / 1000
