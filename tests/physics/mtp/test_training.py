"""Training against planted potentials and finite differences."""

from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator

from aiida_iontherm.physics.mtp import Configuration, MomentTensorPotential, train
from aiida_iontherm.physics.mtp.training import PAPER_WEIGHTS, _Projected, shortest_distance


def labelled(atoms: Atoms, potential: MomentTensorPotential, stress: bool = True) -> Atoms:
    evaluation = potential.evaluate(atoms)
    labels = {"energy": evaluation.energy, "forces": evaluation.forces}
    if stress:
        labels["stress"] = evaluation.stress[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]
    copy = atoms.copy()
    copy.calc = SinglePointCalculator(copy, **labels)
    return copy


def make_cells(count: int, seed: int = 20) -> list[Atoms]:
    """Rattled and strained eight-atom cells with two species in changing proportions."""
    rng = np.random.default_rng(seed)
    cells = []
    for index in range(count):
        atoms = bulk("CuI", "rocksalt", a=5.0, cubic=True)
        if index % 3 == 0:
            atoms.symbols[0] = "I"
        atoms.set_cell(atoms.cell.array @ (np.eye(3) + 0.04 * rng.normal(size=(3, 3))), scale_atoms=True)
        atoms.positions += 0.25 * rng.normal(size=atoms.positions.shape)
        cells.append(atoms)
    return cells


@pytest.fixture
def planted(random_potential) -> MomentTensorPotential:
    return random_potential(4, seed=21, cutoff=4.0, min_distance=1.0)


@pytest.fixture
def data(planted) -> list[Atoms]:
    return [labelled(atoms, planted) for atoms in make_cells(12)]


SETTINGS = {"level": 4, "cutoff": 4.0, "min_distance": 1.0, "radial_size": 4}


def test_projected_gradient(planted, data):
    """The gradient of the loss with the linear coefficients eliminated, against finite differences of that loss."""
    configurations = [Configuration.from_atoms(atoms) for atoms in data[:4]]
    configurations[1] = replace(configurations[1], stress=None)
    blank = MomentTensorPotential.new(species=planted.species, seed=22, **SETTINGS)
    problem = _Projected(blank, configurations, PAPER_WEIGHTS)
    x = blank.radial_coeffs.ravel()
    _, gradient = problem.objective(x)
    h = 1e-6
    slopes = np.empty_like(x)
    for index in range(len(x)):
        step = np.zeros_like(x)
        step[index] = h
        slopes[index] = (problem.objective(x + step)[0] - problem.objective(x - step)[0]) / (2 * h)
    # Central differences of a loss of order one: rounding 1e-15 / 1e-6, and h^2 times a third derivative.
    np.testing.assert_allclose(gradient, slopes, atol=1e-6 * np.abs(gradient).max())


def test_loss_is_the_stated_one(planted, data):
    """L = 1/K sum 1/N [w_E dE^2 + w_F sum dF^2 + w_S V^2 sum dsigma^2], from evaluations of the solved potential."""
    weights = (2.0, 0.3, 0.05)
    configurations = [Configuration.from_atoms(atoms) for atoms in data[:5]]
    blank = MomentTensorPotential.new(species=planted.species, seed=22, **SETTINGS)
    problem = _Projected(blank, configurations, weights)
    x = blank.radial_coeffs.ravel()
    loss, _ = problem.objective(x)
    potential = problem.solve(x)
    expected = 0.0
    for entry in configurations:
        result = potential.evaluate(entry.atoms)
        term = weights[0] * (result.energy - entry.energy) ** 2
        term += weights[1] * np.sum((result.forces - entry.forces) ** 2)
        term += weights[2] * entry.atoms.cell.volume**2 * np.sum((result.stress - entry.stress) ** 2)
        expected += term / len(entry.atoms) / len(configurations)
    # Energies of order 10 eV leave their rounding in the small differences.
    assert loss == pytest.approx(expected, rel=1e-8)


def test_planted_potential_is_found(planted, data):
    result = train(data, max_iterations=300, tolerance=1e-12, validation_fraction=0.2, seed=3, **SETTINGS)
    forces = np.sqrt(np.mean(result.errors.forces[:, 0] ** 2))
    # The data follow from a potential of this very form, so only the optimiser limits the errors; it gets to rounding
    # (1e-14) where its path ends in this minimum.
    assert result.errors.force_rmse < 1e-6 * forces
    assert result.validation_errors.force_rmse < 1e-6 * forces
    fresh = make_cells(1, seed=23)[0]
    np.testing.assert_allclose(
        result.potential.evaluate(fresh).forces, planted.evaluate(fresh).forces, atol=1e-5 * forces
    )
    assert np.all(np.diff(result.history[:, 1]) <= 0)


def test_start_from_the_planted_radial_functions_needs_no_iterations(planted, data):
    result = train(data, start=planted, max_iterations=1, validation_fraction=0.0, level=4, cutoff=4.0)
    # Linear least squares with a condition number of about 1e4.
    assert result.errors.force_rmse < 1e-9
    assert result.errors.energy_rmse < 1e-9
    assert result.validation_errors is None


def test_errors_are_differences_of_labels_and_predictions(data):
    result = train(data, max_iterations=2, validation_fraction=0.25, seed=1, **SETTINGS)
    assert len(result.validation_errors.energies) == 3
    assert len(result.errors.energies) == 9
    difference = result.errors.forces[:, 1] - result.errors.forces[:, 0]
    assert result.errors.force_rmse == pytest.approx(np.sqrt(np.mean(difference**2)))
    assert result.errors.force_mae == pytest.approx(np.mean(np.abs(difference)))
    per_atom = {round(atoms.get_potential_energy() / len(atoms), 9) for atoms in data}
    seen = np.concatenate([result.errors.energies[:, 0], result.validation_errors.energies[:, 0]])
    assert per_atom == {round(value, 9) for value in seen}


def test_same_seed_same_potential(data):
    first, second = (train(data, max_iterations=5, seed=4, **SETTINGS) for _ in range(2))
    other = train(data, max_iterations=5, seed=5, **SETTINGS)
    np.testing.assert_array_equal(first.potential.radial_coeffs, second.potential.radial_coeffs)
    np.testing.assert_array_equal(first.history, second.history)
    assert not np.array_equal(first.history, other.history)


@pytest.mark.parametrize(("tolerance", "converged"), [(1e-12, False), (60.0, True)])
def test_continued_run_is_the_uninterrupted_one(data, tolerance, converged):
    """Stopped after every single iteration and begun again; also where the tolerance ends the run."""
    settings = SETTINGS | {"max_iterations": 14, "tolerance": tolerance, "seed": 6, "validation_fraction": 0.2}
    straight = train(data, **settings)
    assert straight.converged is converged
    state, runs = None, 0
    while True:
        states = []
        result = train(data, state=state, on_step=lambda s, seen=states: bool(seen.append(s)), **settings)
        if result.reason != "stopped from outside":
            break
        assert len(states) == 1
        state, runs = states[0], runs + 1
    assert runs == len(straight.history) - 1
    assert (result.reason, result.converged) == (straight.reason, straight.converged)
    np.testing.assert_array_equal(result.history, straight.history)
    np.testing.assert_array_equal(result.potential.radial_coeffs, straight.potential.radial_coeffs)
    np.testing.assert_array_equal(result.potential.moment_coeffs, straight.potential.moment_coeffs)


def test_best_on_held_out_data_is_kept(data):
    result = train(data, max_iterations=15, validation_fraction=0.25, seed=7, **SETTINGS)
    again = train(
        data, max_iterations=int(result.history[np.argmin(result.history[:, 2]), 0]), validation_fraction=0.25, seed=7,
        **SETTINGS,
    )  # fmt: skip
    np.testing.assert_array_equal(result.potential.radial_coeffs, again.potential.radial_coeffs)


def test_stresses_may_be_missing(planted):
    without = [labelled(atoms, planted, stress=index < 2) for index, atoms in enumerate(make_cells(8))]
    result = train(without, max_iterations=2, validation_fraction=0.0, **SETTINGS)
    assert result.errors.stress_rmse is not None
    none = [labelled(atoms, planted, stress=False) for atoms in make_cells(4)]
    assert train(none, max_iterations=1, **SETTINGS).errors.stress_rmse is None


def test_too_little_data(data):
    with pytest.raises(ValueError, match="at least 2"):
        train(data[:1], **SETTINGS)
    two = train(data[:2], max_iterations=1, validation_fraction=0.5, **SETTINGS)
    assert two.validation_errors is None


def test_labels_are_checked(data):
    bare = data[0].copy()
    with pytest.raises(ValueError, match="needs an energy and forces"):
        train([*data, bare], **SETTINGS)
    bare.calc = SinglePointCalculator(bare, energy=1.0)
    with pytest.raises(ValueError, match="needs an energy and forces"):
        train([*data, bare], **SETTINGS)
    for name in ("energy", "forces", "stress"):
        broken = labelled(data[0], MomentTensorPotential.new(level=2, species=["Cu", "I"]))
        broken.calc.results[name] = broken.calc.results[name] * np.nan
        with pytest.raises(ValueError, match="not finite"):
            train([*data, broken], **SETTINGS)


@pytest.mark.parametrize("change", [{"cutoff": 4.5}, {"level": 6}])
def test_start_must_fit(planted, data, change):
    with pytest.raises(ValueError, match="does not fit"):
        train(data, start=planted, **({"level": 4, "cutoff": 4.0} | change))


def test_minimum_distance_is_taken_from_the_data(data):
    result = train(data, level=2, cutoff=4.0, radial_size=3, max_iterations=1)
    assert result.potential.min_distance == round(0.95 * min(shortest_distance(atoms) for atoms in data), 3)


def test_shortest_distance():
    assert shortest_distance(bulk("Cu", "fcc", a=3.6)) == pytest.approx(3.6 / np.sqrt(2))
    assert shortest_distance(Atoms("Ar2", positions=[[0, 0, 0], [0, 0, 20.0]])) == pytest.approx(20.0)
    assert shortest_distance(Atoms("Ar", cell=[30, 40, 50], pbc=True)) == pytest.approx(30.0)
    with pytest.raises(ValueError, match="isolated"):
        shortest_distance(Atoms("Ar"))
