"""Errors are differences of labels and predictions, in all the ways they are averaged."""

import numpy as np
import pytest

from aiida_iontherm.physics.mtp import Configuration, evaluate_errors
from aiida_iontherm.physics.mtp.training import learning_curve
from aiida_iontherm.physics.mtp.training.errors import UNGROUPED


@pytest.fixture
def other(random_potential):
    return random_potential(4, seed=30, cutoff=4.0, min_distance=1.0)


def test_errors_against_evaluations_one_by_one(data, other):
    for index, atoms in enumerate(data):
        if index % 4:
            atoms.info["group"] = "even" if index % 2 == 0 else "odd"
    entries = [Configuration.from_atoms(atoms) for atoms in data]
    errors = evaluate_errors(other, entries)
    results = [other.evaluate(atoms) for atoms in data]
    d_energy = np.array([(r.energy - e.energy) / 8 for r, e in zip(results, entries, strict=True)])
    d_force = np.array([r.forces - e.forces for r, e in zip(results, entries, strict=True)])
    d_stress = np.array([r.stress - e.stress for r, e in zip(results, entries, strict=True)])

    def rms(values):
        return pytest.approx(np.sqrt(np.mean(values**2)))

    def mae(values):
        return pytest.approx(np.mean(np.abs(values)))

    assert (errors.energy_rmse, errors.energy_mae) == (rms(d_energy), mae(d_energy))
    assert (errors.force_rmse, errors.force_mae) == (rms(d_force), mae(d_force))
    assert (errors.stress_rmse, errors.stress_mae) == (rms(d_stress), mae(d_stress))
    np.testing.assert_allclose(np.diff(errors.energies)[:, 0], d_energy)
    np.testing.assert_allclose(np.diff(errors.forces)[:, 0], d_force.ravel())
    np.testing.assert_allclose(np.diff(errors.stresses)[:, 0], d_stress.ravel())

    is_copper = np.array([atoms.symbols == "Cu" for atoms in data])
    assert list(errors.by_species) == ["Cu", "I"]
    copper = errors.by_species["Cu"]
    assert (copper.rmse, copper.mae, copper.n_atoms) == (rms(d_force[is_copper]), mae(d_force[is_copper]), 44)

    assert list(errors.by_group) == ["even", UNGROUPED, "odd"]
    odd = errors.by_group["odd"]
    assert odd.n_configurations == 6
    assert (odd.energy_rmse, odd.energy_mae) == (rms(d_energy[1::2]), mae(d_energy[1::2]))
    assert (odd.force_rmse, odd.force_mae) == (rms(d_force[1::2]), mae(d_force[1::2]))


def test_without_stresses_and_groups(planted, labelled, make_cells, other):
    entries = [Configuration.from_atoms(labelled(atoms, planted, stress=False)) for atoms in make_cells(2)]
    errors = evaluate_errors(other, entries)
    assert errors.stress_rmse is None
    assert errors.stresses.shape == (0, 2)
    assert errors.by_group == {}
    with pytest.raises(ValueError, match="no configurations"):
        evaluate_errors(other, [])


def test_learning_curve(data, planted, labelled, make_cells):
    """Against the number of configurations and the level, on a test part that stays the same."""
    many = data + [labelled(atoms, planted) for atoms in make_cells(12, seed=99)]
    options = {"cutoff": 4.0, "min_distance": 1.0, "radial_size": 8, "ridge": 0.0, "validation_fraction": 0.0}
    seen = []
    points = learning_curve(
        many, sizes=[1, 19], levels=[2, 4], seed=5, on_point=seen.append, max_iterations=12, n_starts=1, **options
    )
    assert [(point.level, point.n_configurations) for point in points] == [(2, 1), (2, 19), (4, 1), (4, 19)]
    assert seen == points
    reference = points[0].test_errors.energies[:, 0]
    for point in points:
        np.testing.assert_array_equal(point.test_errors.energies[:, 0], reference)
        assert len(point.training.fitted) == point.n_configurations
        assert not set(point.training.errors.energies[:, 0]) & set(reference)
    errors = {(point.level, point.n_configurations): point.test_errors.force_rmse for point in points}
    # The labels come from a potential of level 4: only there the error vanishes. One cell gives 28 numbers for 36
    # coefficients.
    assert errors[4, 19] < 0.2 * errors[2, 19]
    assert errors[4, 19] < 0.2 * errors[4, 1]
    with pytest.raises(ValueError, match="between 1 and the 19"):
        learning_curve(many, sizes=[20], levels=[2], **options)
    with pytest.raises(ValueError, match="is empty"):
        learning_curve(many[:2], levels=[2], **options)
