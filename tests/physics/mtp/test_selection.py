"""Active sets and grades: against motep and exhaustive search, under changes of basis, and on awkward sets of rows."""

from dataclasses import replace
from itertools import combinations, product

import numpy as np
import pytest
from ase.build import bulk
from motep.grade.grader import Grader
from motep.grade.maxvol import MaxVol
from motep.io.mlip.mtp import read_mtp

from aiida_iontherm.physics.mtp import MomentTensorPotential
from aiida_iontherm.physics.mtp.selection import (
    ActiveSet,
    active_set_from_arrays,
    active_set_of,
    active_set_to_arrays,
    configuration_rows,
    fingerprint,
    grades,
    gradient_rows,
    make_grader,
    select_active_set,
    select_configurations,
    update,
)
from aiida_iontherm.physics.mtp.selection.active_set import (
    RANK_THRESHOLD,
    SWAP_THRESHOLD,
    restore,
    select_from_blocks,
)
from aiida_iontherm.physics.mtp.selection.maxvol import BLOCK_ROWS, exchange_rows

LARGEST = 1 + SWAP_THRESHOLD + 1e-9  # rounding of the inverse of members with placeholders of 1e-6


def random_rows(count, parameters, seed=0, rank=None):
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(count, parameters))
    if rank is not None:
        rows = rng.normal(size=(count, rank)) @ rng.normal(size=(rank, parameters))
    return rows


def rattled(count, amplitude, start=0):
    frames = []
    for seed in range(start, start + count):
        atoms = bulk("CuI", "zincblende", a=5.6, cubic=True)
        atoms.rattle(amplitude, seed=seed)
        frames.append(atoms)
    return frames


@pytest.fixture
def potential(random_potential):
    return random_potential(cutoff=4.5, radial_size=6, min_distance=1.8)


# --- the rows ---------------------------------------------------------------------------------------------------------


def test_rows_are_derivatives_of_the_energies_of_the_atoms(potential, crystal):
    """Central differences: their error is of third order in the step, 1e-4 of some unit coefficients."""
    rows = gradient_rows(potential, crystal)
    assert rows.shape == (2, 2 + 9 + 2 * 2 * 2 * 6)
    step, columns = 1e-4, []
    for name in ("species_coeffs", "moment_coeffs", "radial_coeffs"):
        values = getattr(potential, name)
        for index in np.ndindex(values.shape):
            energies = []
            for sign in (1, -1):
                moved = values.copy()
                moved[index] += sign * step
                energies.append(potential.replace(**{name: moved}).evaluate(crystal).energies)
            columns.append((energies[0] - energies[1]) / (2 * step))
    expected = np.array(columns).T
    np.testing.assert_allclose(rows, expected, atol=1e-6 * np.abs(expected).max())


def test_row_of_a_configuration_is_the_sum_over_its_atoms(potential, crystal):
    rows = configuration_rows(potential, crystal, "neighbourhood")
    total = configuration_rows(potential, crystal, "configuration")
    np.testing.assert_allclose(total, rows.sum(axis=0, keepdims=True), rtol=1e-14)
    with pytest.raises(ValueError, match="neighbourhood or configuration, not atom"):
        configuration_rows(potential, crystal, "atom")


def test_rows_lack_exactly_the_gauge(potential):
    """Radial function mu may be scaled and take along those below it: mu + 1 directions, whatever the atoms do."""
    frames = rattled(20, 0.25)
    rows = np.concatenate([gradient_rows(potential, atoms) for atoms in frames])
    n_radial = potential.tables.n_radial
    gauge = n_radial * (n_radial + 1) // 2
    assert gauge == 3
    active_set = active_set_of(potential, frames)
    assert active_set.rank == rows.shape[1] - gauge
    singular = np.linalg.svd(rows / active_set.scale, compute_uv=False)
    # Rounding on one side, the least that the set determines on the other.
    assert singular[-gauge] < 1e-12 * singular[0] < 1e-8 * singular[0] < singular[-gauge - 1]
    # The scaling of the first radial function, written down: a direction in which no atom's energy changes.
    scaling = np.zeros(rows.shape[1])
    scaling[2:11] = -_powers_of_first_radial_function(potential) * potential.moment_coeffs
    radial = np.zeros_like(potential.radial_coeffs)
    radial[:, :, 0] = potential.radial_coeffs[:, :, 0]
    scaling[11:] = radial.ravel()
    np.testing.assert_allclose(rows @ scaling, 0, atol=1e-12 * np.abs(rows @ np.abs(scaling)).max())


def _powers_of_first_radial_function(potential):
    """How often the radial function 0 occurs in each scalar: by how much it grows when the function is doubled."""
    atoms = rattled(1, 0.3)[0]
    double = potential.radial_coeffs.copy()
    double[:, :, 0] *= 2
    scalars = [gradient_rows(p, atoms)[0, 2:11] for p in (potential, potential.replace(radial_coeffs=double))]
    return np.rint(np.log2(np.abs(scalars[1] / scalars[0])))


# --- the set ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("count", "parameters", "rank"),
    [(40, 8, None), (3000, 12, None), (60, 10, 6), (5, 9, None), (1, 7, None), (30, 1, None)],
)
def test_no_row_of_the_training_set_is_an_extrapolation(count, parameters, rank):
    rows = random_rows(count, parameters, rank=rank)
    active_set = select_active_set(rows)
    assert grades(active_set, rows).max() <= LARGEST
    assert active_set.rank == min(count, parameters, rank or parameters)
    for member, (origin, _) in zip(active_set.rows, active_set.origins, strict=True):
        if origin >= 0:
            # The row went through the scale and back.
            np.testing.assert_allclose(member, rows[origin], rtol=1e-15)
    # A member is known exactly: its coordinates are a unit vector.
    np.testing.assert_allclose(active_set.rows @ active_set.inverse, np.eye(parameters), atol=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_volume_against_exhaustive_search(seed):
    """No single exchange enlarges it by more than the threshold, and the largest of all is not far."""
    rows = random_rows(11, 3, seed=seed)
    active_set = select_active_set(rows)
    chosen = active_set.origins[:, 0]
    volume = abs(np.linalg.det(rows[chosen]))
    for position, candidate in product(range(3), range(11)):
        exchanged = chosen.copy()
        exchanged[position] = candidate
        assert abs(np.linalg.det(rows[exchanged])) <= volume * LARGEST
    best = max(abs(np.linalg.det(rows[list(choice)])) for choice in combinations(range(11), 3))
    # Every row has coordinates of at most 1 + threshold: Hadamard's inequality for the best ones, written in them.
    assert volume <= best * (1 + 1e-12)
    assert best <= volume * (np.sqrt(3) * LARGEST) ** 3


def test_first_exchanges_are_those_of_complete_pivoting():
    """Placeholders are replaced as Gaussian elimination replaces unknowns (here by Schur complements)."""
    rows = random_rows(20, 6, seed=3)
    exchanges = exchange_rows(1e-9 * np.eye(6), 1e9 * np.eye(6), rows, 1e-3)
    left, expected = rows.copy(), []
    for _ in range(6):
        i, j = np.unravel_index(np.abs(left).argmax(), left.shape)
        expected.append((i, j))
        left = left - np.outer(left[:, j], left[i]) / left[i, j]
        left[:, j] = left[i] = 0.0
    assert exchanges[:6] == expected


def test_blocks_give_a_set_as_good_as_all_rows_at_once():
    rows = random_rows(4 * BLOCK_ROWS + 17, 9, seed=5)
    origins = np.column_stack([np.arange(len(rows)), np.zeros(len(rows), dtype=int)])
    parts = np.array_split(np.arange(len(rows)), 7)
    active_set = select_from_blocks(lambda: ((rows[part], origins[part]) for part in parts), 9)
    assert grades(active_set, rows).max() <= LARGEST
    np.testing.assert_allclose(active_set.rows, rows[active_set.origins[:, 0]], rtol=1e-15)


@pytest.mark.parametrize("rank", [None, 5])
def test_grades_do_not_depend_on_the_basis_of_the_parameters(rank):
    """Scales over ten decades and any invertible mixing of columns: the same parameters, written otherwise."""
    rows, others = (random_rows(50, 8, seed=2, rank=rank)[part] for part in (slice(0, 40), slice(40, 50)))
    chosen = select_active_set(rows).origins[:, 0]
    expected = grades(select_active_set(rows), others)
    rng = np.random.default_rng(1)
    transformations = {
        "scale": np.diag(10.0 ** rng.uniform(-5, 5, 8)),
        "mixing": rng.normal(size=(8, 8)),
    }
    for name, matrix in transformations.items():
        moved = select_active_set(rows @ matrix)
        if name == "scale":
            np.testing.assert_array_equal(moved.origins[:, 0], chosen)
            # Rounding, enlarged by the placeholders.
            np.testing.assert_allclose(grades(moved, others @ matrix), expected, rtol=1e-8)
        # Another path may end in another set that is as good; on the same members grades are the same in any basis.
        members = chosen[chosen >= 0]
        same = [grades(select_active_set((rows @ m)[members]), others @ m) for m in (np.eye(8), matrix)]
        np.testing.assert_allclose(*same, rtol=1e-8)


def test_grades_in_the_span_do_not_know_the_placeholders():
    """Fewer directions than parameters: coordinates are those of the only expansion there is, by least squares."""
    rows = random_rows(30, 10, seed=4, rank=6)
    active_set = select_active_set(rows[:20])
    members = rows[active_set.origins[active_set.origins[:, 0] >= 0, 0]]
    assert members.shape == (6, 10)
    expected = np.abs(np.linalg.lstsq(members.T, rows[20:].T, rcond=None)[0]).max(axis=0)
    np.testing.assert_allclose(grades(active_set, rows[20:]), expected, rtol=1e-8)


def test_a_direction_without_data_is_an_extrapolation():
    rows = random_rows(30, 6, seed=6)
    rows[:, 4:] = 0.0
    active_set = select_active_set(rows)
    assert active_set.rank == 4
    stranger = rows[0].copy()
    stranger[5] = 1e-3 * active_set.scale[5]
    # The component in units of the placeholder.
    assert grades(active_set, stranger[None])[0] == pytest.approx(1e-3 / RANK_THRESHOLD, rel=1e-6)
    # Once it is known it is none.
    assert grades(update(active_set, stranger[None]), stranger[None])[0] <= LARGEST


def test_rounding_is_no_data():
    """A column that vanishes but for rounding must not be scaled up until it decides about grades."""
    rows = random_rows(30, 5, seed=7)
    rows[:, 3] = 1e-15 * random_rows(30, 1, seed=8)[:, 0]
    active_set = select_active_set(rows)
    assert active_set.rank == 4
    rows[:, 3] *= -3
    assert grades(active_set, rows).max() <= LARGEST


def test_an_update_is_as_good_as_starting_again():
    rows = random_rows(80, 9, seed=9)
    first = select_active_set(rows[:30])
    before = first.rows.copy()
    second = update(first, rows[30:], np.column_stack([np.arange(30, 80), np.full(50, -1)]))
    np.testing.assert_array_equal(first.rows, before)  # the old set stays
    assert grades(second, rows[30:]).max() <= LARGEST
    np.testing.assert_allclose(second.rows, rows[second.origins[:, 0]], rtol=1e-15)
    # The formula for one exchange after the other against the inverse itself.
    np.testing.assert_allclose(second.inverse, np.linalg.inv(second.rows), rtol=1e-9, atol=1e-9)
    volumes = [abs(np.linalg.det(s.rows)) for s in (first, second)]
    assert volumes[1] > volumes[0]
    # Nothing new: nothing happens.
    np.testing.assert_array_equal(update(second, rows[30:]).rows, second.rows)


def test_duplicate_rows_are_taken_once():
    rows = random_rows(6, 6, seed=10)
    once, twice = select_active_set(rows), select_active_set(np.concatenate([rows, rows, rows]))
    assert sorted(twice.origins[:, 0] % 6) == sorted(once.origins[:, 0]) == list(range(6))
    others = random_rows(9, 6, seed=11)
    # Another scale of nothing: rounding.
    np.testing.assert_allclose(grades(twice, others), grades(once, others), rtol=1e-9)


@pytest.mark.parametrize("count", [0, 3])
def test_nothing_is_known_of_zero_rows(count):
    active_set = select_active_set(np.zeros((count, 4)))
    assert active_set.rank == 0
    assert active_set.configurations == []
    np.testing.assert_array_equal(grades(active_set, np.zeros((2, 4))), 0)
    np.testing.assert_allclose(grades(active_set, np.eye(4)), 1 / RANK_THRESHOLD)
    assert len(grades(active_set, np.empty((0, 4)))) == 0


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_rows_that_are_not_finite_are_named(bad):
    rows = random_rows(10, 4)
    active_set = select_active_set(rows)
    rows[7, 2] = bad
    for action in (select_active_set, lambda r: update(active_set, r), lambda r: grades(active_set, r)):
        with pytest.raises(ValueError, match=r"row 7 of 10 holds numbers that are not finite \(1 such"):
            action(rows)


def test_impossible_requests():
    rows = random_rows(10, 4)
    active_set = select_active_set(rows)
    with pytest.raises(ValueError, match="must be positive, not 0"):
        select_active_set(rows, threshold=0)
    with pytest.raises(ValueError, match=r"matrix with a column for each parameter, not of shape \(4,\)"):
        select_active_set(rows[0])
    with pytest.raises(ValueError, match="rows have 3 parameters where the active set has 4"):
        grades(active_set, rows[:, :3])
    with pytest.raises(ValueError, match="configuration and the atom of each of 10 rows"):
        select_active_set(rows, origins=np.zeros((3, 2), dtype=int))


# --- potentials -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["neighbourhood", "configuration"])
def test_active_set_of_a_training_set(potential, mode):
    frames = rattled(12, 0.2)
    active_set = active_set_of(potential, frames, mode=mode)
    assert active_set.mode == mode
    assert set(active_set.configurations) <= set(range(12))
    for member, (configuration, atom) in zip(active_set.rows, active_set.origins, strict=True):
        if configuration >= 0:
            rows = configuration_rows(potential, frames[configuration], mode)
            np.testing.assert_allclose(member, rows[max(atom, 0)], rtol=1e-14)
            assert (atom == -1) == (mode == "configuration")
    grader = make_grader(potential, active_set)
    assert max(grader(atoms).max() for atoms in frames) <= LARGEST
    assert grader(frames[0]).shape == ((8,) if mode == "neighbourhood" else (1,))
    # 0.6 Angstrom are far from anything seen; 0.05 Angstrom lie in the midst of it.
    far, near = rattled(1, 0.6, start=50)[0], rattled(1, 0.05, start=51)[0]
    assert grader(far).max() > 10
    if mode == "neighbourhood":  # twelve rows say next to nothing about 57 parameters
        assert grader(near).max() < 3


def test_one_configuration_knows_itself_only(potential):
    (atoms,) = rattled(1, 0.2)
    active_set = active_set_of(potential, [atoms])
    assert active_set.rank == len(atoms)
    grader = make_grader(potential, active_set)
    assert grader(atoms).max() <= LARGEST
    # A rigid shift and a permutation of like atoms make the same neighbourhoods.
    moved = atoms[::-1]
    moved.positions += [0.3, -0.2, 0.1]
    # Rounding of the positions over placeholders: 1e-15 of a row is 1e-9 of its grade.
    assert grader(moved).max() <= LARGEST + 1e-6
    assert grader(rattled(1, 0.2, start=1)[0]).max() > 10


def test_a_large_training_set_is_read_again_for_each_pass(potential, monkeypatch):
    frames = rattled(4, 0.2)
    whole = active_set_of(potential, frames)
    monkeypatch.setattr("aiida_iontherm.physics.mtp.selection.rows.KEPT_BYTES", 0)
    np.testing.assert_array_equal(active_set_of(potential, frames).rows, whole.rows)


def test_atoms_in_one_place_break_a_run_and_do_not_crash_it(potential, monkeypatch):
    frames = rattled(4, 0.2)
    grader = make_grader(potential, active_set_of(potential, frames))
    rows = gradient_rows(potential, frames[0])
    rows[3, 5] = np.inf
    monkeypatch.setattr("aiida_iontherm.physics.mtp.selection.rows.gradient_rows", lambda *_: rows)
    found = grader(frames[0])
    assert np.isinf(found[3])
    assert np.isfinite(np.delete(found, 3)).all()


def test_nothing_to_select_from(potential):
    with pytest.raises(ValueError, match="at least one configuration"):
        active_set_of(potential, [])


# --- motep ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ["maxvol", "mlip"])
def test_same_members_same_grades_as_motep_on_plain_matrices(algorithm):
    """Both solve the same linear system, motep by least squares."""
    rows, others = random_rows(60, 7, seed=12), 5 * random_rows(20, 7, seed=13)
    found = MaxVol(algorithm=algorithm).run(rows)
    assert found.success
    expected = np.abs(np.linalg.lstsq(found.submatrix.T, others.T, rcond=None)[0]).max(axis=0)
    ours = select_active_set(rows[found.indices])
    # A matrix of condition 1e2.
    np.testing.assert_allclose(grades(ours, others), expected, rtol=1e-10)
    # Both searches end where no exchange enlarges the volume, though not in the same place.
    volumes = [abs(np.linalg.det(members)) for members in (found.submatrix, select_active_set(rows).rows)]
    assert volumes[1] == pytest.approx(volumes[0], rel=0.5)


@pytest.mark.parametrize("mode", ["neighbourhood", "configuration"])
@pytest.mark.parametrize("algorithm", ["maxvol", "mlip"])
def test_same_members_same_grades_as_motep_on_configurations(algorithm, mode, potential, tmp_path):
    """Linear coefficients only for its MaxVol, which wants full rank; all parameters for its copy of MLIP's search."""
    potential.write(tmp_path / "p.mtp")
    potential = MomentTensorPotential.read(tmp_path / "p.mtp", potential.species)
    data = read_mtp(tmp_path / "p.mtp")
    data.species = np.array([29, 53])
    # motep's order of the parameters, and ours.
    n_linear = 2 + len(potential.moment_coeffs)
    columns = np.r_[2:n_linear, 0:2]
    data.optimized = ["moment_coeffs", "species_coeffs"]
    # Sums over the same four plus four atoms: the two species coefficients cannot be told apart by them.
    count = 40
    if algorithm == "mlip":
        columns = np.r_[columns, n_linear : n_linear + potential.radial_coeffs.size]
        data.optimized = ["moment_coeffs", "species_coeffs", "radial_coeffs"]
        count = 70
    frames = rattled(count, 0.15)
    if mode == "configuration":
        frames = [atoms[index % 3 :] for index, atoms in enumerate(frames)]
    grader = Grader(
        data,
        seed=0,
        mode={"neighbourhood": "neighborhood", "configuration": "configuration"}[mode],
        maxvol_setting={"algorithm": algorithm},
    )
    grader.update(frames)
    members = grader.maxvol_result.submatrix
    ours = restore(
        rows=members,
        origins=np.zeros((len(members), 2), dtype=int),
        scale=np.ones(len(members)),
        mode=mode,
        potential="",
    )
    others = rattled(3, 0.3, start=200)
    for image, atoms in zip(grader.grade(others), others, strict=True):
        rows = configuration_rows(potential, atoms, mode)[:, columns]
        key = "nbh_grades" if mode == "neighbourhood" else "MV_grade"
        # The same system by LU and by singular values; placeholders of 1e-6 among members of up to 1e2 cost eight
        # of sixteen digits.
        np.testing.assert_allclose(grades(ours, rows), np.atleast_1d(image.calc.results[key]), rtol=1e-7, atol=1e-7)


# --- selection of candidates ------------------------------------------------------------------------------------------


def covered(candidates, active_set, chosen, threshold):
    """Whether no candidate is above the threshold once all rows of the chosen ones are known."""
    for index in chosen:
        active_set = update(active_set, candidates[index])
    return all(grades(active_set, rows).max() <= threshold for rows in candidates)


@pytest.mark.parametrize("seed", range(6))
def test_selection_covers_all_candidates_with_few(seed):
    """Against trying all choices."""
    rng = np.random.default_rng(seed)
    active_set = select_active_set(rng.normal(size=(40, 5)))
    candidates = [rng.normal(size=(4, 5)) * rng.choice([1, 4, 12]) for _ in range(8)]
    selection = select_configurations(candidates, active_set, threshold_select=3.0)
    np.testing.assert_allclose(selection.before, [grades(active_set, rows).max() for rows in candidates])
    assert selection.complete
    assert selection.after.max() <= 3.0
    # The set that proves it is made of what was known and of the candidates chosen.
    known = max(active_set.configurations) + 1
    new = [origin - known for origin in selection.active_set.configurations if origin >= known]
    assert tuple(new) == selection.indices
    best = next(
        size
        for size in range(9)
        for choice in combinations(range(8), size)
        if covered(candidates, active_set, choice, 3.0)
    )
    assert best <= len(selection.indices) <= best + 1  # greedy: one more than the fewest at most, in these cases
    again = select_configurations(candidates, active_set, threshold_select=3.0)
    assert again.indices == selection.indices
    np.testing.assert_array_equal(again.after, selection.after)


def test_nothing_is_selected_among_the_known():
    rows = random_rows(30, 5)
    active_set = select_active_set(rows)
    selection = select_configurations([rows[:10], rows[10:]], active_set)
    assert selection.indices == ()
    assert selection.active_set is active_set
    assert select_configurations([], active_set).indices == ()


def test_of_equal_candidates_the_first_is_selected():
    active_set = select_active_set(random_rows(30, 5))
    stranger = 20 * random_rows(3, 5, seed=1)
    selection = select_configurations([random_rows(3, 5, seed=2), stranger, stranger, stranger[::-1]], active_set)
    assert selection.indices == (1,)


def test_the_limit_is_kept_and_told():
    rng = np.random.default_rng(4)
    active_set = select_active_set(np.eye(6))
    candidates = [20 * np.eye(6)[[k]] * rng.uniform(1, 2) for k in range(6)]
    assert len(select_configurations(candidates, active_set).indices) == 6
    limited = select_configurations(candidates, active_set, limit=2)
    assert len(limited.indices) == 2
    assert not limited.complete
    assert limited.before[list(limited.indices)].min() >= np.sort(limited.before)[-2]


def test_bad_candidates_are_named():
    active_set = select_active_set(random_rows(30, 5))
    bad = random_rows(4, 5)
    bad[2, 2] = np.nan
    with pytest.raises(ValueError, match="candidate 1: row 2 of 4 holds numbers that are not finite"):
        select_configurations([random_rows(4, 5), bad], active_set)
    with pytest.raises(ValueError, match=r"must be above 1\.001, not 1"):
        select_configurations([bad], active_set, threshold_select=1.0)


def test_selected_configurations_make_the_rest_known(potential):
    """The loop in small: what is selected joins the training set, and the new active set finds nothing any more."""
    training, explored = rattled(10, 0.1), rattled(12, 0.3, start=100)
    active_set = active_set_of(potential, training)
    candidates = [gradient_rows(potential, atoms) for atoms in explored]
    selection = select_configurations(candidates, active_set)
    assert 0 < len(selection.indices) < 12
    larger = active_set_of(potential, training + [explored[index] for index in selection.indices])
    # Another path to the set: another one, as good to within a factor of its own grades.
    assert max(grades(larger, rows).max() for rows in candidates) < 2 * 3.0
    assert selection.before.max() > 100


# --- files ------------------------------------------------------------------------------------------------------------


def saved(active_set, path):
    np.savez(path, **active_set_to_arrays(active_set))
    with np.load(path, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def test_file_gives_the_same_grades_bit_by_bit(potential, tmp_path):
    active_set = active_set_of(potential, rattled(6, 0.2))
    found = active_set_from_arrays(saved(active_set, tmp_path / "a.npz"), potential)
    assert isinstance(found, ActiveSet)
    assert (found.mode, found.potential, found.rank) == (active_set.mode, active_set.potential, active_set.rank)
    rows = gradient_rows(potential, rattled(1, 0.3, start=9)[0])
    np.testing.assert_array_equal(grades(found, rows), grades(active_set, rows))


def test_active_set_of_another_potential_is_refused(potential, tmp_path):
    arrays = saved(active_set_of(potential, rattled(3, 0.2)), tmp_path / "a.npz")
    moved = potential.radial_coeffs.copy()
    moved[0, 0, 0, 0] += 1e-14
    for change in (
        {"radial_coeffs": moved},
        {"species": ("Ag", "I")},
        {"min_distance": 1.81},
        {"moment_coeffs": -potential.moment_coeffs},
    ):
        other = replace(potential, **change)
        with pytest.raises(ValueError, match="belongs to another potential"):
            active_set_from_arrays(arrays, other)
        with pytest.raises(ValueError, match="belongs to another potential"):
            make_grader(other, active_set_from_arrays(arrays))


def test_fingerprint_survives_the_file(potential, tmp_path):
    """A file read and written again is the same potential."""
    potential.write(tmp_path / "one.mtp")
    one = MomentTensorPotential.read(tmp_path / "one.mtp", potential.species)
    again = MomentTensorPotential.read(tmp_path / "one.mtp", potential.species)
    assert fingerprint(one) == fingerprint(again)
    assert fingerprint(one) != fingerprint(replace(one, cutoff=4.6))


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("scale", lambda a: None, "this is no active set, it lacks scale"),
        ("rows", lambda a: a[:-1], "it is damaged"),
        ("rows", lambda a: np.where(np.arange(len(a)) == 3, np.nan, a), "not finite: it is damaged"),
        ("rows", lambda a: np.ones_like(a), "linearly dependent"),
        ("scale", lambda a: 0 * a, "it is damaged"),
        ("mode", lambda a: np.array("atom"), "its mode is 'atom'"),
    ],
)
def test_damaged_files_are_refused(name, change, words, potential, tmp_path):
    arrays = saved(active_set_of(potential, rattled(3, 0.2)), tmp_path / "a.npz")
    changed = change(arrays.pop(name))
    if changed is not None:
        arrays[name] = changed
    with pytest.raises(ValueError, match=words):
        active_set_from_arrays(arrays)
