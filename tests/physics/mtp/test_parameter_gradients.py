"""Derivatives with respect to the coefficients, against finite differences of plain evaluations."""

from dataclasses import replace

import numpy as np
import pytest

from aiida_iontherm.physics.mtp import MomentTensorPotential
from aiida_iontherm.physics.mtp.kernel import Kernel, TrainingKernel

SPECIES = ["Cs", "Cu", "I"]
FIELDS = ("species_coeffs", "moment_coeffs", "radial_coeffs")


@pytest.fixture
def mixed_set(system) -> list:
    """Cells, clusters, slabs and wires of 1 to 17 atoms: no number is a multiple of a vector's lanes but 8 and 16.

    The last but one has a species with a single atom, the last nothing but an isolated atom.
    """
    names = ["triclinic", "below the cutoff", "one atom", "slab", "wire", "cluster"]
    configurations = [system(name, SPECIES[: 1 + k % 3], seed=k) for k, name in enumerate(names)]
    rare = system("triclinic", ["I"], seed=7) * (2, 1, 1)
    rare.symbols[5] = "Cu"
    alone = system("cluster", ["Cu"])[:1]
    return [*configurations, rare, alone]


def reference(potential: MomentTensorPotential, configurations) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Energies, forces and virials by evaluating one configuration after the other."""
    energies, forces, virials = [], [], []
    for atoms in configurations:
        result = potential.evaluate(atoms)
        energies.append(result.energy)
        forces.append(result.forces)
        total = -result.virials.sum(axis=0)
        virials.append((total + total.T) / 2)
    return np.array(energies), np.concatenate(forces), np.array(virials)


def some_weights(kernel: TrainingKernel) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weights of all signs; those of virials are not symmetric, though only their symmetric part can matter."""
    rng = np.random.default_rng(3)
    k = len(kernel.n_atoms)
    return rng.normal(size=k), rng.normal(size=(kernel.offsets[-1], 3)), rng.normal(size=(k, 3, 3))


def some_coefficients(values: np.ndarray, most: int = 40) -> list[tuple[int, ...]]:
    """Indices of all coefficients, or of some at random."""
    chosen = np.random.default_rng(4).permutation(values.size)[:most]
    return [tuple(map(int, np.unravel_index(k, values.shape))) for k in chosen]


def changed(potential: MomentTensorPotential, field: str, index: tuple[int, ...], step: float) -> MomentTensorPotential:
    values = getattr(potential, field).copy()
    values[index] += step
    return replace(potential, **{field: values})


def slope(function, potential: MomentTensorPotential, field: str, index: tuple[int, ...], h: float):
    """Derivative of a function of a potential with respect to one coefficient, to fourth order."""
    near, far = (
        (function(changed(potential, field, index, k * h)) - function(changed(potential, field, index, -k * h)))
        / (2 * k * h)
        for k in (1, 2)
    )
    return (4 * near - far) / 3


@pytest.mark.parametrize("level", [2, 8, 14])
def test_predictions_are_evaluations(random_potential, mixed_set, level):
    potential = random_potential(level, species=SPECIES)
    kernel = TrainingKernel(potential, mixed_set)
    np.testing.assert_array_equal(kernel.n_atoms, [len(atoms) for atoms in mixed_set])
    np.testing.assert_array_equal(kernel.offsets, np.cumsum([0, *kernel.n_atoms]))
    for index, atoms in enumerate(mixed_set):
        assert [atoms.get_chemical_symbols().count(symbol) for symbol in SPECIES] == kernel.species_counts[
            index
        ].tolist()
    for mine, expected in zip(kernel.predict(potential), reference(potential, mixed_set), strict=True):
        np.testing.assert_allclose(mine, expected, rtol=0, atol=1e-12 * np.abs(expected).max())  # rounding


@pytest.mark.parametrize("level", [2, 8, 14])
def test_gradient_is_the_slope_of_the_weighted_sum(random_potential, mixed_set, level):
    """Of sum wE E + sum wF . F + sum wV : W of the whole set, in every kind of coefficient."""
    potential = random_potential(level, species=SPECIES)
    kernel = TrainingKernel(potential, mixed_set)
    weights = some_weights(kernel)

    def weighted_sum(potential: MomentTensorPotential) -> float:
        return sum(np.sum(w * x) for w, x in zip(weights, reference(potential, mixed_set), strict=True))

    for field, gradient in zip(FIELDS, kernel.gradient(potential, *weights), strict=True):
        values = getattr(potential, field)
        assert gradient.shape == values.shape
        # The sum is linear in the first two and of fourth order in the third: there a fourth-order difference with
        # one step of 1e-3 of the largest coefficient has no error but rounding, 1e-15 / 1e-3 of the sum of all terms.
        h = 1e-3 * np.abs(values).max() if field == "radial_coeffs" else 1e-3
        for index in some_coefficients(values):
            expected = slope(weighted_sum, potential, field, index, h)
            assert gradient[index] == pytest.approx(expected, abs=1e-9 * np.abs(gradient).max())


def test_gradient_of_a_loss(random_potential, mixed_set):
    """As training uses it: the residuals, twice, are the weights."""
    potential = random_potential(8, species=SPECIES)
    target = random_potential(8, species=SPECIES, seed=9)
    kernel = TrainingKernel(potential, mixed_set)
    labels = kernel.predict(target)

    def loss(potential: MomentTensorPotential) -> float:
        return sum(np.sum((x - y) ** 2) for x, y in zip(kernel.predict(potential), labels, strict=True))

    residuals = [2 * (x - y) for x, y in zip(kernel.predict(potential), labels, strict=True)]
    gradient = kernel.gradient(potential, *residuals)
    rng = np.random.default_rng(5)
    directions = [
        rng.normal(size=getattr(potential, field).shape) * np.abs(getattr(potential, field)).max() for field in FIELDS
    ]
    slope = sum(np.sum(g * d) for g, d in zip(gradient, directions, strict=True))
    h = 1e-5

    def moved(step: float) -> float:
        values = {f: getattr(potential, f) + step * d for f, d in zip(FIELDS, directions, strict=True)}
        return loss(replace(potential, **values))

    # Fourth order: h^4 against rounding of 1e-15 / 1e-5, with sums of thousands of squares.
    difference = (8 * (moved(h) - moved(-h)) - (moved(2 * h) - moved(-2 * h))) / (12 * h)
    assert difference == pytest.approx(slope, rel=1e-8)


@pytest.mark.parametrize("level", [2, 8, 14])
def test_design_is_linear_algebra(random_potential, mixed_set, level):
    """Rows times coefficients are the predictions, for any coefficients; rows of a part are those of the whole."""
    potential = random_potential(level, species=SPECIES)
    kernel = TrainingKernel(potential, mixed_set)
    design = kernel.design(potential, 0, len(mixed_set))
    other = random_potential(level, species=SPECIES, seed=6)
    other = replace(other, radial_coeffs=potential.radial_coeffs)
    for coefficients in (potential, other):
        energies, forces, virials = reference(coefficients, mixed_set)
        rows = []
        for k in range(len(mixed_set)):
            own = forces[kernel.offsets[k] : kernel.offsets[k + 1]]
            rows += [[energies[k]], own.ravel(), virials[k].ravel()]
        expected = np.concatenate(rows)
        values = design @ np.concatenate([coefficients.species_coeffs, coefficients.moment_coeffs])
        np.testing.assert_allclose(values, expected, rtol=0, atol=1e-12 * np.abs(expected).max())  # rounding
    lengths = 10 + 3 * kernel.n_atoms
    part = kernel.design(potential, 2, 5)
    np.testing.assert_array_equal(part, design[lengths[:2].sum() : lengths[:5].sum()])
    assert kernel.design(potential, 3, 3).shape == (0, design.shape[1])


def test_gradient_and_design_agree(random_potential, mixed_set):
    potential = random_potential(16, species=SPECIES)
    kernel = TrainingKernel(potential, mixed_set)
    energies, forces, virials = some_weights(kernel)
    rows = []
    for k in range(len(mixed_set)):
        own = forces[kernel.offsets[k] : kernel.offsets[k + 1]]
        rows += [[energies[k]], own.ravel(), virials[k].ravel()]
    expected = np.concatenate(rows) @ kernel.design(potential, 0, len(mixed_set))
    species, moments, _ = kernel.gradient(potential, energies, forces, virials)
    # Rounding, on the scale of terms that cancel.
    np.testing.assert_allclose(
        np.concatenate([species, moments]), expected, rtol=0, atol=1e-11 * np.abs(expected).max()
    )


@pytest.mark.parametrize("level", [2, 8, 14])
def test_gradients_of_single_atoms(random_potential, each_system, level):
    potential = random_potential(level, species=SPECIES)
    atoms = each_system(SPECIES)
    gradients = Kernel(potential).parameter_gradients(atoms)
    for field, gradient in zip(FIELDS, gradients, strict=True):
        values = getattr(potential, field)
        assert gradient.shape == (len(atoms), *values.shape)
        # As for the gradient of the weighted sum.
        h = 1e-3 * np.abs(values).max() if field == "radial_coeffs" else 1e-3
        for index in some_coefficients(values):
            expected = slope(lambda p: p.evaluate(atoms).energies, potential, field, index, h)
            np.testing.assert_allclose(gradient[:, *index], expected, rtol=0, atol=1e-9 * np.abs(gradient).max())


def test_unused_pairs_have_no_gradient(random_potential, system):
    """A species that does not occur leaves its coefficients alone; an isolated atom leaves all radial ones."""
    potential = random_potential(8, species=SPECIES)
    atoms = system("triclinic", ["Cu", "I"])
    kernel = TrainingKernel(potential, [atoms])
    species, _, radial = kernel.gradient(potential, *some_weights(kernel))
    assert species[0] == 0.0
    assert not radial[0].any()
    assert not radial[:, 0].any()
    assert np.abs(radial[1:, 1:]).min() > 0.0
    alone = TrainingKernel(potential, [system("cluster", ["Cu"])[:1]])
    species, moments, radial = alone.gradient(potential, *some_weights(alone))
    assert species[1] != 0.0
    assert not moments.any()
    assert not radial.any()
