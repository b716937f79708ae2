"""The compiled kernel against motep's C extension on the same files."""

from dataclasses import replace
from itertools import cycle, islice

import numpy as np
import pytest
from ase import Atoms
from ase.data import atomic_numbers
from motep.calculator import MTP, make_calculator
from motep.io.mlip.mtp import read_mtp
from motep.potentials.mtp.data import MTPData

from aiida_iontherm.physics.mtp import MomentTensorPotential
from aiida_iontherm.physics.mtp.kernel import Kernel, TrainingKernel

SPECIES = ["Li", "Cs", "Cu", "I"]
SYSTEMS = ["triclinic", "below the cutoff", "one atom", "slab", "wire", "cluster"]
# The tables of level 28 take half a minute; level 26 is among the files of MLIP below.
SLOW_LEVELS = [pytest.param(level, marks=pytest.mark.slow) for level in (24, 28)]


@pytest.fixture
def moteps(tmp_path):
    """Write a potential and let motep read it."""

    def read(potential: MomentTensorPotential) -> MTPData:
        potential.write(tmp_path / "pot.mtp")
        return with_species(read_mtp(tmp_path / "pot.mtp"), potential.species)

    return read


def with_species(data: MTPData, species) -> MTPData:
    data.species = np.array([atomic_numbers[symbol] for symbol in species], dtype=np.int32)
    return data


def assert_same(potential: MomentTensorPotential, data: MTPData, atoms: Atoms) -> None:
    """Energies, forces and stress to 1e-10: two summation orders of one formula (1e-14, the scale factors included).

    Energies of atoms, components of forces and stress are compared on the scale of the largest: those that are small
    by cancellation carry the rounding of the large ones.
    """
    ours = potential.evaluate(atoms)
    copy = atoms.copy()
    copy.calc = make_calculator(data, engine="cext")
    energy = copy.get_potential_energy()
    results = copy.calc.results
    scale = np.abs(results["energies"]).max()
    np.testing.assert_allclose(ours.energies, results["energies"], rtol=0, atol=1e-10 * scale)
    assert ours.energy == pytest.approx(energy, abs=1e-10 * scale * len(atoms))
    pairs = [(ours.forces, results["forces"])]
    if atoms.cell.rank == 3:
        pairs.append((ours.stress, copy.get_stress(voigt=False)))
    else:
        assert ours.stress is None
    for mine, its in pairs:
        np.testing.assert_allclose(mine, its, rtol=0, atol=1e-10 * max(np.abs(its).max(), scale * 1e-3))


@pytest.mark.parametrize("level", [*range(2, 24, 2), *SLOW_LEVELS])
def test_every_level_on_every_kind_of_system(random_potential, every_scalar_counts, system, moteps, level):
    """One to four species, each number on each kind of system at some level; writing high levels takes seconds."""
    first = level // 2
    names = SYSTEMS if level <= 16 else [SYSTEMS[first % 6], SYSTEMS[(first + 3) % 6]] if level <= 22 else SYSTEMS[1:2]
    for name in names:
        index = SYSTEMS.index(name)
        species = SPECIES[: 1 + (level // 2 + index) % 4]
        atoms = system(name, species, seed=level)
        potential = every_scalar_counts(random_potential(level, species=species), atoms)
        data = moteps(potential)
        assert_same(potential, data, atoms)


@pytest.mark.parametrize("n_species", [1, 2, 3, 4])
def test_every_number_of_species_with_rare_and_absent_ones(random_potential, system, moteps, n_species):
    """Groups of eight atoms that are full, of one atom, or missing altogether."""
    potential = random_potential(10, species=SPECIES[:n_species])
    data = moteps(potential)
    rng = np.random.default_rng(n_species)
    for present in range(1, n_species + 1):
        atoms = system("triclinic", SPECIES[:1], seed=n_species) * (2, 1, 1)
        atoms.positions += rng.uniform(-0.1, 0.1, atoms.positions.shape)
        atoms.symbols = list(islice(cycle(SPECIES[:present]), len(atoms)))
        assert_same(potential, data, atoms)
        atoms.symbols = [SPECIES[present - 1]] * (len(atoms) - 1) + [SPECIES[0]]
        assert_same(potential, data, atoms)


@pytest.mark.parametrize(
    "options",
    [
        {"radial_size": 2},
        {"radial_size": 3},
        {"radial_size": 17},
        {"min_distance": 0.0},
        {"cutoff": 7.5},
        {"scaling": 0.37},
    ],
    ids=str,
)
def test_every_radial_basis(random_potential, system, moteps, options):
    atoms = system("below the cutoff", ["Cu", "I"])
    scaling = options.pop("scaling", 1.0)
    potential = replace(random_potential(8, **options), scaling=scaling)
    assert_same(potential, moteps(potential), atoms)


@pytest.mark.parametrize(
    "name",
    [
        *(f"cubic/{level:02d}" for level in range(2, 24, 2)),
        *(pytest.param(f"cubic/{level}", marks=pytest.mark.slow) for level in (24, 26)),
        *(f"multi/{level:02d}" for level in range(2, 12, 2)),
        *(f"noncubic/{level:02d}" for level in range(2, 12, 2)),
    ],
)
def test_files_of_mlip(shared_data, system, name):
    """Tables of another program, in its order of operations; ours are computed another way up to level 24."""
    path = shared_data / "mtp" / "fitting" / "crystals" / name / "pot.mtp"
    data = read_mtp(path)
    species = SPECIES[: data.species_count]
    data = with_species(data, species)
    potential = MomentTensorPotential.read(path, species)
    for kind in ("triclinic", "cluster"):
        assert_same(potential, data, system(kind, species))


def train_results(potential: MomentTensorPotential, data: MTPData, atoms: Atoms) -> MTP:
    calculator = make_calculator(data, engine="cext", mode="train")
    calculator.calculate(atoms)
    return calculator


@pytest.mark.parametrize("level", [2, 8, 14])
def test_derivatives_with_respect_to_the_coefficients(random_potential, each_system, moteps, level):
    """Design rows, gradients of single energies and forces, and gradients atom by atom against the training mode."""
    species = ["Cs", "Cu", "I"]
    atoms = each_system(species, seed=level)
    potential = random_potential(level, species=species)
    basis = train_results(potential, moteps(potential), atoms).engine.mbd
    n, s = len(atoms), len(potential.moment_coeffs)
    kernel = TrainingKernel(potential, [atoms])

    def assert_close(mine, its):
        # Rounding of the two summation orders, on the scale of the largest derivative of this kind.
        np.testing.assert_allclose(mine, its, rtol=0, atol=1e-11 * np.abs(its).max())

    design = kernel.design(potential, 0, 1)
    assert design.shape == (1 + 3 * n + 9, 3 + s)
    assert_close(design[0, 3:], basis.values)
    assert_close(design[1 : 1 + 3 * n, 3:], -basis.dbdris.reshape(s, 3 * n).T)
    if atoms.cell.rank == 3:  # motep divides by the volume, and has no virials without
        assert_close(design[1 + 3 * n :, 3:], atoms.cell.volume * basis.dbdeps.reshape(s, 9).T)
    np.testing.assert_array_equal(design[0, :3], kernel.species_counts[0])
    np.testing.assert_array_equal(design[1:, :3], 0.0)

    none = np.zeros(1), np.zeros((n, 3)), np.zeros((1, 3, 3))
    assert_close(kernel.gradient(potential, np.ones(1), *none[1:])[2], basis.dedcs)
    for index in [(0, 0), (n - 1, 1), (n // 2, 2)]:
        weights = np.zeros((n, 3))
        weights[index] = 1.0
        radial = kernel.gradient(potential, none[0], weights, none[2])[2]
        np.testing.assert_allclose(radial, -basis.dgdcs[..., *index], rtol=0, atol=1e-11 * np.abs(basis.dgdcs).max())
    if atoms.cell.rank == 3:
        weights = np.random.default_rng(level).normal(size=(1, 3, 3))
        theirs = atoms.cell.volume * np.tensordot(basis.dsdcs + basis.dsdcs.swapaxes(-1, -2), weights[0] / 2, axes=2)
        assert_close(kernel.gradient(potential, *none[:2], weights)[2], theirs)

    own_species, moments, radial = Kernel(potential).parameter_gradients(atoms)
    assert_close(moments, basis.vatoms.T)
    assert_close(radial, np.moveaxis(basis.dvdcs, -1, 0))
    np.testing.assert_array_equal(own_species @ np.arange(3), [species.index(symbol) for symbol in atoms.symbols])
