"""Energies, forces, stresses and virials against MLIP, motep, finite differences and symmetry."""

from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms, units
from motep.calculator import make_calculator
from motep.io.mlip.cfg import read_cfg
from motep.io.mlip.mtp import read_mtp
from scipy.spatial.transform import Rotation

from aiida_iontherm.physics.mtp import MomentTensorPotential

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


@pytest.mark.parametrize("name", ["cubic/02", "cubic/12", "cubic/22", "multi/04", "multi/10", "noncubic/06"])
def test_numbers_are_moteps(mlip, name):
    potential = read(mlip, name)
    data = read_mtp(mlip / name / "pot.mtp")
    data.species = np.array([{"Li": 3, "Cu": 29, "I": 53}[symbol] for symbol in potential.species], dtype=np.int32)
    rng = np.random.default_rng(7)
    atoms = Atoms(rng.choice(potential.species, 8), cell=5.4 * np.eye(3) + rng.normal(scale=0.2, size=(3, 3)), pbc=True)
    atoms.set_scaled_positions(np.array(list(np.ndindex(2, 2, 2))) / 2)
    atoms.rattle(0.1, seed=8)
    ours = potential.evaluate(atoms)
    atoms.calc = make_calculator(data, engine="numpy")
    # Two summation orders of the same formula; forces and stress are compared on the scale of the largest.
    assert ours.energy == pytest.approx(atoms.get_potential_energy(), rel=1e-10)
    np.testing.assert_allclose(ours.energies, atoms.calc.results["energies"], rtol=1e-10)
    for mine, its in ((ours.forces, atoms.get_forces()), (ours.stress, atoms.get_stress(voigt=False))):
        np.testing.assert_allclose(mine, its, rtol=0, atol=1e-10 * np.abs(its).max())


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


@pytest.mark.parametrize("level", [2, 8, 12])
def test_forces_are_the_slope_of_the_energy(random_potential, crystal, level):
    atoms = crystal * (2, 1, 1)
    atoms.rattle(0.05, seed=9)
    potential = random_potential(level)
    forces = potential.evaluate(atoms).forces
    h = 1e-4
    slopes = np.empty_like(forces)
    for index in np.ndindex(forces.shape):
        shifted = [atoms.copy(), atoms.copy()]
        shifted[0].positions[index] += h
        shifted[1].positions[index] -= h
        slopes[index] = (potential.evaluate(shifted[0]).energy - potential.evaluate(shifted[1]).energy) / (2 * h)
    # Central differences err by h^2/6 times a third derivative of some hundred times the force.
    np.testing.assert_allclose(forces, -slopes, atol=1e-6 * np.abs(forces).max())


@pytest.mark.parametrize("level", [2, 8, 12])
def test_stress_is_the_slope_against_strain(random_potential, crystal, level):
    potential = random_potential(level)
    stress = potential.evaluate(crystal).stress
    h = 1e-5
    slopes = np.empty((3, 3))
    for index in np.ndindex(3, 3):
        energies = []
        for sign in (1, -1):
            strain = np.eye(3)
            strain[index] += sign * h
            strained = crystal.copy()
            strained.set_cell(crystal.cell.array @ (strain + strain.T) / 2, scale_atoms=True)
            energies.append(potential.evaluate(strained).energy)
        slopes[index] = (energies[0] - energies[1]) / (2 * h) / crystal.cell.volume
    # As for the forces; a strain h moves neighbours by up to 4 h Angstrom.
    np.testing.assert_allclose(stress, slopes, atol=1e-6 * np.abs(stress).max())


def test_sum_of_virials_is_the_stress(random_potential, crystal):
    """sum_j virials = -V stress: both are sum_ij of r_ij times dU_i/dr_j, once with the sign of each convention."""
    for potential in (random_potential(2), random_potential(10)):
        result = potential.evaluate(crystal)
        total = result.virials.sum(axis=0)
        expected = -crystal.cell.volume * result.stress
        # Sums of a hundred terms: rounding.
        np.testing.assert_allclose(total, expected, atol=1e-12 * np.abs(result.virials).max() * 100)


def test_virials_are_their_definition(random_potential, cluster):
    """virials[j, a, b] = sum_i (r_i - r_j)_a dU_i/dr_j,b with the derivative taken by finite differences."""
    potential = random_potential(8)
    h = 1e-4
    expected = np.zeros((len(cluster), 3, 3))
    for j, b in np.ndindex(len(cluster), 3):
        moved = [cluster.copy(), cluster.copy()]
        moved[0].positions[j, b] += h
        moved[1].positions[j, b] -= h
        slopes = (potential.evaluate(moved[0]).energies - potential.evaluate(moved[1]).energies) / (2 * h)
        expected[j, :, b] = slopes @ (cluster.positions - cluster.positions[j])
    virials = potential.evaluate(cluster).virials
    # As for the forces.
    np.testing.assert_allclose(virials, expected, atol=1e-6 * np.abs(virials).max())
    # The test would be empty if a symmetric half-and-half virial of pairs passed as well.
    assert np.abs(virials - virials.swapaxes(1, 2)).max() > 0.01 * np.abs(virials).max()


def test_heat_current_is_the_flow_of_energy(random_potential, cluster):
    """J = d/dt sum_i r_i E_i along a trajectory of a free cluster, DESIGN.md section 6 item 2."""
    potential = random_potential(8)
    masses = cluster.get_masses()[:, None]
    start_velocities = np.random.default_rng(10).normal(scale=0.02, size=(len(cluster), 3))

    def moment_after(timestep: float) -> np.ndarray:
        """sum_i r_i E_i after one velocity-Verlet step."""
        atoms, velocities = cluster.copy(), start_velocities.copy()
        velocities += 0.5 * timestep * potential.evaluate(atoms).forces / masses
        atoms.positions += timestep * velocities
        velocities += 0.5 * timestep * potential.evaluate(atoms).forces / masses
        energies = potential.evaluate(atoms).energies + 0.5 * np.sum(masses * velocities**2, axis=1)
        return energies @ atoms.positions

    result = potential.evaluate(cluster)
    energies = result.energies + 0.5 * np.sum(masses * start_velocities**2, axis=1)
    current = energies @ start_velocities + np.einsum("jab,jb->a", result.virials, start_velocities)
    timestep = 0.01 * units.fs
    coarse, fine = ((moment_after(step) - moment_after(-step)) / (2 * step) for step in (2 * timestep, timestep))
    flow = (4 * fine - coarse) / 3
    # The central difference of a Verlet step errs by even powers of the timestep. Its square is what `fine` misses,
    # 1e-6, and what the extrapolation removes; left is its fourth power.
    assert np.abs(coarse - current).max() == pytest.approx(4 * np.abs(fine - current).max(), rel=0.01)
    np.testing.assert_allclose(current, flow, rtol=0, atol=1e-8 * np.abs(flow).max())
    # The order of the indices matters, by far more than the tolerance.
    transposed = energies @ start_velocities + np.einsum("jba,jb->a", result.virials, start_velocities)
    assert np.abs(transposed - flow).max() > 1e-3 * np.abs(flow).max()


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
