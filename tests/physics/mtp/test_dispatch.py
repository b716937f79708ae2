"""All compiled instruction sets, and any number of threads, are one and the same potential."""

import numpy as np
import pytest

from aiida_iontherm.physics.mtp import MomentTensorPotential
from aiida_iontherm.physics.mtp.kernel import (
    Kernel,
    TrainingKernel,
    _compiled_basis,
    available_threads,
    compile_potential,
    instruction_sets,
)

SPECIES = ["Cs", "Cu", "I"]
# Sums in another order, of a few thousand terms that partly cancel.
ROUNDING = 1e-12


def assert_close(first, second) -> None:
    np.testing.assert_allclose(first, second, rtol=0, atol=ROUNDING * np.abs(second).max())


def assert_same_evaluation(first, second) -> None:
    for name in ("energies", "forces", "stress", "virials"):
        if getattr(second, name) is not None:
            assert_close(getattr(first, name), getattr(second, name))


def weights(kernel: TrainingKernel) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(1)
    k = len(kernel.n_atoms)
    return rng.normal(size=k), rng.normal(size=(kernel.offsets[-1], 3)), rng.normal(size=(k, 3, 3))


@pytest.fixture
def potential(random_potential) -> MomentTensorPotential:
    return random_potential(14, species=SPECIES)


@pytest.fixture
def mixed_set(system) -> list:
    """Cells and clusters of 1 to 17 atoms, with all or one of the species: groups of every filling."""
    names = ["triclinic", "below the cutoff", "one atom", "slab", "wire", "cluster"]
    atoms = [system(name, SPECIES[: 1 + k % 3], seed=k) for k, name in enumerate(names)]
    return [*atoms, system("cluster", ["I"]), system("triclinic", SPECIES) * (2, 1, 1)]


def test_the_fastest_set_is_the_default(potential):
    names = instruction_sets()
    assert len(set(names)) == len(names) > 0
    assert _compiled_basis(potential.tables, potential.radial_coeffs.shape[2], "").instructions == names[0]
    for name in names:
        assert _compiled_basis(potential.tables, potential.radial_coeffs.shape[2], name).instructions == name


def test_every_instruction_set_evaluates_alike(potential, each_system):
    atoms = each_system(SPECIES)
    reference = potential.evaluate(atoms)
    gradients = Kernel(potential).parameter_gradients(atoms)
    for name in instruction_sets():
        kernel = Kernel(potential, instructions=name)
        assert_same_evaluation(kernel.evaluate(atoms, virials=True), reference)
        for mine, its in zip(kernel.parameter_gradients(atoms), gradients, strict=True):
            assert_close(mine, its)


def test_every_instruction_set_trains_alike(potential, mixed_set):
    kernels = [TrainingKernel(potential, mixed_set, instructions=name) for name in instruction_sets()]
    reference = TrainingKernel(potential, mixed_set)
    given = weights(reference)
    for kernel in kernels:
        for mine, its in zip(kernel.predict(potential), reference.predict(potential), strict=True):
            assert_close(mine, its)
        for mine, its in zip(kernel.gradient(potential, *given), reference.gradient(potential, *given), strict=True):
            assert_close(mine, its)
        assert_close(kernel.design(potential, 0, len(mixed_set)), reference.design(potential, 0, len(mixed_set)))


@pytest.mark.parametrize("threads", [2, 3])
def test_every_number_of_threads_evaluates_alike(potential, mixed_set, threads):
    """More threads than groups of atoms, too. The list is kept over two steps."""
    for atoms in mixed_set:
        kernel = Kernel(potential, threads=threads)
        for step in range(2):
            moved = atoms.copy()
            moved.positions += 0.05 * step
            moved.positions[0] += 0.05 * step
            reference = potential.evaluate(moved)
            assert_same_evaluation(kernel.evaluate(moved, virials=True), reference)
            without = kernel.evaluate(moved)
            assert without.virials is None
            assert_close(without.forces, reference.forces)
        fresh = Kernel(potential).parameter_gradients(moved)
        for mine, its in zip(kernel.parameter_gradients(moved), fresh, strict=True):
            assert_close(mine, its)


@pytest.mark.parametrize("threads", [2, 3])
def test_training_gives_the_same_bits_on_any_number_of_threads(potential, mixed_set, threads):
    """More configurations than the blocks that threads take: sums run over blocks, in order."""
    many = [atoms for k in range(9) for atoms in mixed_set]
    for k, atoms in enumerate(many):
        many[k] = atoms.copy()
        many[k].rattle(0.02, seed=k)
    one, several = (TrainingKernel(potential, many, threads=n) for n in (1, threads))
    assert len(many) > 64
    for mine, its in zip(
        several.gradient(potential, *weights(one)), one.gradient(potential, *weights(one)), strict=True
    ):
        np.testing.assert_array_equal(mine, its)
    for mine, its in zip(several.predict(potential), one.predict(potential), strict=True):
        np.testing.assert_array_equal(mine, its)
    np.testing.assert_array_equal(several.design(potential, 3, 12), one.design(potential, 3, 12))


def test_sets_that_do_not_exist_are_named_with_those_that_do(potential, crystal):
    for make in (
        lambda: Kernel(potential, instructions="x86_64_v9"),
        lambda: TrainingKernel(potential, [crystal], instructions="x86_64_v9"),
        lambda: compile_potential(potential, "x86_64_v9"),
    ):
        with pytest.raises(ValueError, match=f"no sweeps called 'x86_64_v9', only: {', '.join(instruction_sets())}"):
            make()


def test_training_sets_refuse_potentials_that_do_not_fit(potential, random_potential, crystal):
    kernel = TrainingKernel(potential, [crystal])
    for other in (random_potential(14, species=SPECIES, cutoff=4.5), random_potential(14, species=SPECIES[:2])):
        with pytest.raises(ValueError, match="another cutoff, other species"):
            kernel.predict(other)
    with pytest.raises(ValueError, match="one weight for each"):
        kernel.gradient(potential, np.ones(2), np.ones((2, 3)), np.ones((1, 3, 3)))
    with pytest.raises(ValueError, match="no such configurations"):
        kernel.design(potential, 0, 2)


@pytest.mark.parametrize(("value", "threads"), [("3", 3), ("0", 1), ("many", 1), (None, 1)])
def test_threads_follow_the_environment(monkeypatch, value, threads):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if value is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", value)
    assert available_threads() == threads


def test_no_negative_threads(potential):
    with pytest.raises(ValueError, match="at least one thread"):
        Kernel(potential, threads=-1)
