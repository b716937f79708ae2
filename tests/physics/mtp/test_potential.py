"""Energies, forces and stresses against MLIP, finite differences and symmetry."""

from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from motep.io.mlip.cfg import read_cfg
from motep.io.mlip.mtp import read_mtp
from scipy.spatial.transform import Rotation

from aiida_iontherm.physics.mtp import MomentTensorPotential
from aiida_iontherm.physics.mtp.kernel import Kernel

WITH_ORACLE = ["cubic/16", "multi/08", "multi/10", "noncubic/08", "noncubic/10"]
SPECIES = ["Li", "Cu", "I"]


@pytest.fixture(scope="session")
def mlip(shared_data):
    return shared_data / "mtp" / "fitting" / "crystals"


def read(folder, name) -> MomentTensorPotential:
    path = folder / name / "pot.mtp"
    return MomentTensorPotential.read(path, SPECIES[: read_mtp(path).species_count])


def first_images(path, count):
    """First and last few images of a .cfg file; the files hold a thousand, and reading them takes seconds."""
    blocks = path.read_text().split("END_CFG")[:-1]
    return [blocks[i] + "END_CFG\n" for i in np.linspace(0, len(blocks) - 1, count).astype(int)]


@pytest.mark.parametrize("name", WITH_ORACLE)
def test_numbers_are_mlips_own(mlip, tmp_path, name):
    potential = read(mlip, name)
    path = tmp_path / "some.cfg"
    path.write_text("".join(first_images(mlip / name / "out.cfg", 5)))
    for atoms in read_cfg(path, ":", SPECIES):
        ours, theirs = potential.evaluate(atoms), atoms.calc.results
        # MLIP prints 12 decimals of the energy but 6 of positions and forces: rounded positions move the energy by
        # force times 5e-7 for each coordinate, and forces by force constants of up to 20 eV/Angstrom^2 times that.
        assert ours.energy == pytest.approx(theirs["energy"], abs=5e-6)
        np.testing.assert_allclose(ours.forces, theirs["forces"], atol=2e-5)
        # The virial is printed with 5 decimals, and moves with the positions like the energy.
        stress = atoms.get_stress(voigt=False)
        np.testing.assert_allclose(ours.stress * atoms.cell.volume, stress * atoms.cell.volume, atol=5e-5)


@pytest.mark.parametrize("name", ["cubic/02", "multi/08"])
def test_written_files_read_back_identical(mlip, tmp_path, crystal, random_potential, name):
    for index, potential in enumerate((read(mlip, name), random_potential(8))):
        path = tmp_path / f"{index}.mtp"
        potential.write(path)
        copy = MomentTensorPotential.read(path, potential.species)
        assert copy.cutoff == potential.cutoff
        assert copy.min_distance == potential.min_distance
        for field in ("radial_coeffs", "species_coeffs", "moment_coeffs"):
            # Sixteen digits are written, one short of all.
            np.testing.assert_allclose(getattr(copy, field), getattr(potential, field), rtol=1e-15)
        atoms = crystal.copy()
        atoms.symbols[:] = potential.species[0]
        assert copy.evaluate(atoms).energy == pytest.approx(potential.evaluate(atoms).energy, rel=1e-12)


@pytest.mark.parametrize("level", [2, 8, 12, 16])
def test_forces_are_the_slope_of_the_energy(random_potential, each_system, level):
    atoms = each_system(["Cu", "I"])
    potential = random_potential(level)
    forces = potential.evaluate(atoms).forces
    h = 1e-4
    slopes = np.empty_like(forces)
    for index in np.ndindex(forces.shape):
        shifted = [atoms.copy(), atoms.copy()]
        shifted[0].positions[index] += h
        shifted[1].positions[index] -= h
        slopes[index] = (potential.evaluate(shifted[0]).energy - potential.evaluate(shifted[1]).energy) / (2 * h)
    # Central differences err by h^2/6 times a third derivative of some hundred times the force, and by rounding of the
    # energy over h, which is all there is for an atom alone in its cell.
    np.testing.assert_allclose(forces, -slopes, atol=1e-6 * np.abs(forces).max() + 1e-9)


@pytest.mark.parametrize("level", [2, 8, 12, 16])
@pytest.mark.parametrize("kind", ["triclinic", "below the cutoff", "one atom"])
def test_stress_is_the_slope_against_strain(random_potential, system, kind, level):
    potential = random_potential(level)
    atoms = system(kind, ["Cu", "I"])
    stress = potential.evaluate(atoms).stress
    h = 1e-5
    slopes = np.empty((3, 3))
    for index in np.ndindex(3, 3):
        energies = []
        for sign in (1, -1):
            strain = np.eye(3)
            strain[index] += sign * h
            strained = atoms.copy()
            strained.set_cell(atoms.cell.array @ (strain + strain.T) / 2, scale_atoms=True)
            energies.append(potential.evaluate(strained).energy)
        slopes[index] = (energies[0] - energies[1]) / (2 * h) / atoms.cell.volume
    # As for the forces; a strain h moves neighbours by up to 4 h Angstrom.
    np.testing.assert_allclose(stress, slopes, atol=1e-6 * np.abs(stress).max())


@pytest.mark.parametrize("level", [8, 16])
def test_rotations_reflections_and_exchange_of_like_atoms(random_potential, crystal, level):
    potential = random_potential(level)
    atoms = crystal * (2, 1, 1)
    atoms.rattle(0.05, seed=11)
    before = potential.evaluate(atoms)
    scale = np.abs(before.forces).max()
    for matrix in (Rotation.random(random_state=12).as_matrix(), np.diag([1.0, 1.0, -1.0])):
        turned = atoms.copy()
        turned.set_cell(atoms.cell.array @ matrix, scale_atoms=True)
        after = potential.evaluate(turned)
        # Rounding only.
        np.testing.assert_allclose(after.energies, before.energies, rtol=1e-11)
        np.testing.assert_allclose(after.forces, before.forces @ matrix, atol=1e-11 * scale)
        np.testing.assert_allclose(after.stress, matrix.T @ before.stress @ matrix, atol=1e-11 * scale)
    order = [2, 1, 0, 3]
    assert [atoms.symbols[i] for i in order] == list(atoms.symbols)
    exchanged = potential.evaluate(atoms[order])
    np.testing.assert_allclose(exchanged.energies, before.energies[order], rtol=1e-12)
    np.testing.assert_allclose(exchanged.forces, before.forces[order], atol=1e-12 * scale)


def test_small_cell_equals_its_supercell(random_potential, crystal):
    """The cutoff reaches past the whole cell: atoms see their own images, several times."""
    potential = random_potential(10)
    assert potential.cutoff > crystal.cell.lengths().max()
    one, many = potential.evaluate(crystal), potential.evaluate(crystal * (2, 2, 2))
    # Rounding; positions of images are computed differently.
    np.testing.assert_allclose(many.energies, np.tile(one.energies, 8), rtol=1e-12)
    np.testing.assert_allclose(many.forces, np.tile(one.forces, (8, 1)), atol=1e-11 * np.abs(one.forces).max())
    np.testing.assert_allclose(many.stress, one.stress, rtol=1e-10, atol=1e-11 * np.abs(one.stress).max())


def test_energy_is_smooth_at_the_cutoff(random_potential):
    """(cutoff - r)^2: the force vanishes linearly at the cutoff, and an atom alone has its own energy."""
    potential = random_potential(8)
    gaps = np.array([1e-2, 1e-3, -1e-3])
    pairs = [Atoms("CuI", [[0, 0, 0], [0, 0, potential.cutoff - gap]]) for gap in gaps]
    forces = [np.abs(potential.evaluate(pair).forces).max() for pair in pairs]
    # The next order in the gap is some ten times larger per Angstrom: 10 % at 0.01 Angstrom.
    assert forces[1] / forces[0] == pytest.approx(0.1, rel=0.2)
    assert forces[2] == 0.0
    alone = potential.evaluate(pairs[2])
    np.testing.assert_array_equal(alone.energies, potential.species_coeffs)
    assert alone.stress is None


@pytest.mark.parametrize("kept", [False, True], ids=["new lists", "kept list"])
def test_energy_and_forces_are_continuous_where_neighbours_come_and_go(random_potential, cluster, kept):
    """An atom moves through the cutoff of one after another, in steps of 1e-3 Angstrom."""
    potential = random_potential(12)
    kernel = Kernel(potential, skin=0.6)
    steps, h = 2000, 1e-3
    energies, forces, counts = [], [], []
    for step in range(steps):
        cluster.positions[0, 2] = 2.0 + step * h
        result = kernel.evaluate(cluster) if kept else potential.evaluate(cluster)
        energies.append(result.energy)
        forces.append(result.forces)
        distances = np.linalg.norm(cluster.positions[1:] - cluster.positions[0], axis=1)
        counts.append(np.count_nonzero(distances < potential.cutoff))
    assert len(set(counts)) >= 4
    energies, forces = np.array(energies), np.array(forces)
    # The slope between two steps is the mean force, up to h^2/12 times its second derivative, also across a cutoff:
    # there the derivative of the force has a step, whose part in the difference is of first order in h. Measured: 2e-5.
    slopes = -np.diff(energies) / h
    scale = np.abs(forces).max()
    np.testing.assert_allclose((forces[1:, 0, 2] + forces[:-1, 0, 2]) / 2, slopes, rtol=0, atol=1e-4 * scale)
    # A force that did not vanish at the cutoff would jump there by a part of `scale`. Measured: 5e-4.
    changes = np.abs(np.diff(forces, axis=0)).max(axis=(1, 2))
    assert changes.max() < 2e-3 * scale


def test_nothing_changes_under_translations(random_potential, each_system):
    potential = random_potential(12)
    atoms = each_system(["Cu", "I"])
    before = potential.evaluate(atoms)
    atoms.positions += [123.4, -56.7, 8.9]
    after = potential.evaluate(atoms)
    for name in ("energies", "forces", "stress", "virials"):
        expected = getattr(before, name)
        if expected is not None:
            # Positions of a hundred Angstrom carry rounding of 1e-14 Angstrom.
            np.testing.assert_allclose(
                getattr(after, name), expected, rtol=0, atol=1e-11 * np.abs(expected).max() + 1e-13
            )


@pytest.mark.filterwarnings("ignore::aiida_iontherm.physics.mtp.kernel.ShortDistanceWarning")
def test_calculator_follows_moving_atoms(random_potential, crystal):
    """Neighbours of the last call are kept within the skin and renewed beyond it, or with another cell."""
    potential = random_potential(8)
    atoms = crystal * (2, 2, 1)
    atoms.calc = potential.calculator()
    rng = np.random.default_rng(13)
    for step in (0.0, 0.02, 0.02, 1.0):
        atoms.positions += rng.normal(scale=step, size=atoms.positions.shape)
        fresh = potential.evaluate(atoms)
        # The order of summation differs from a fresh list.
        assert atoms.get_potential_energy() == pytest.approx(fresh.energy, rel=1e-11)
        np.testing.assert_allclose(atoms.get_forces(), fresh.forces, atol=1e-10 * np.abs(fresh.forces).max())
    atoms.set_cell(1.1 * atoms.cell.array, scale_atoms=True)
    assert atoms.get_potential_energy() == pytest.approx(potential.evaluate(atoms).energy, rel=1e-11)
    np.testing.assert_allclose(atoms.get_stress(voigt=False), potential.evaluate(atoms).stress, rtol=1e-8)
    larger = atoms * (1, 1, 2)
    larger.calc = atoms.calc
    assert larger.get_potential_energy() == pytest.approx(2 * atoms.get_potential_energy(), rel=1e-11)


def test_forgetting_neighbours_gives_the_bits_of_a_fresh_start(random_potential, crystal):
    potential = random_potential(8)
    atoms = crystal * (2, 2, 1)
    atoms.calc = potential.calculator()
    atoms.get_forces()
    atoms.rattle(0.05, seed=14)
    atoms.get_forces()
    atoms.calc.forget_neighbours()
    np.testing.assert_array_equal(atoms.get_forces(), potential.evaluate(atoms).forces)


def test_unknown_species_are_named(random_potential, crystal):
    crystal.symbols[0] = "Ag"
    with pytest.raises(ValueError, match=r"knows Cu, I but not Ag"):
        random_potential(2).evaluate(crystal)


def test_grades_need_an_active_set(random_potential, crystal):
    with pytest.raises(ValueError, match="no active set"):
        random_potential(2).evaluate(crystal, grades=True)


def test_another_number_of_species_is_refused(random_potential, tmp_path):
    random_potential(2).write(tmp_path / "pot.mtp")
    with pytest.raises(ValueError, match="holds 2 species but 1 names"):
        MomentTensorPotential.read(tmp_path / "pot.mtp", ["Cu"])


# The last ones cut within the last number and just before the closing brace.
@pytest.mark.parametrize("kept", [*np.linspace(0.0, 0.98, 15), -6, -3])
def test_truncated_files_are_refused(random_potential, tmp_path, kept):
    random_potential(8).write(tmp_path / "whole.mtp")
    text = (tmp_path / "whole.mtp").read_text()
    (tmp_path / "cut.mtp").write_text(text[: int(kept * len(text)) if kept >= 0 else kept])
    with pytest.raises(ValueError, match="cut"):
        MomentTensorPotential.read(tmp_path / "cut.mtp", ["Cu", "I"])


def test_files_that_are_no_potential(tmp_path):
    with pytest.raises(ValueError, match="no potential file"):
        MomentTensorPotential.read(tmp_path / "absent.mtp", ["Cu"])
    (tmp_path / "binary.mtp").write_bytes(bytes(range(256)))
    with pytest.raises(ValueError, match=r"binary\.mtp"):
        MomentTensorPotential.read(tmp_path / "binary.mtp", ["Cu"])


def test_untrained_templates_are_refused(mlip):
    with pytest.raises(ValueError, match="never trained"):
        MomentTensorPotential.read(mlip / "cubic/08/initial.mtp", ["Cu"])


def test_numbers_that_are_not_finite_are_refused(random_potential, tmp_path):
    potential = random_potential(2)
    with pytest.raises(ValueError, match="not finite"):
        replace(potential, moment_coeffs=np.array([np.nan]))
    potential.write(tmp_path / "pot.mtp")
    text = (tmp_path / "pot.mtp").read_text()
    start = text.index("species_coeffs = {") + len("species_coeffs = {")
    (tmp_path / "pot.mtp").write_text(text[:start] + "nan" + text[text.index(",", start) :])
    with pytest.raises(ValueError, match="not finite"):
        MomentTensorPotential.read(tmp_path / "pot.mtp", ["Cu", "I"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"species": ["Cu", "Cu"]}, "different chemical symbols"),
        ({"species": ["Cu", "Qq"]}, "different chemical symbols"),
        ({"min_distance": 6.0}, "minimum distance"),
        ({"level": 9}, "even number"),
        ({"radial_size": 1}, "at least 2 polynomials"),
    ],
)
def test_impossible_settings(change, message):
    with pytest.raises(ValueError, match=message):
        MomentTensorPotential.new(**({"level": 8, "species": ["Cu", "I"], "cutoff": 5.0} | change))


def test_arrays_of_the_wrong_shape(random_potential):
    with pytest.raises(ValueError, match="moment_coeffs has shape"):
        replace(random_potential(4), moment_coeffs=np.zeros(5))
