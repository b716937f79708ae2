"""The neighbour list of the compiled kernel against ASE's, and lists that are kept against fresh ones."""

import subprocess
import sys

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.neighborlist import primitive_neighbor_list

from aiida_iontherm import _native
from aiida_iontherm.physics.mtp import MomentTensorPotential
from aiida_iontherm.physics.mtp.kernel import Kernel

CUTOFF, SKIN = 4.0, 0.6


@pytest.fixture
def pairs_only(random_potential) -> MomentTensorPotential:
    """Level 2: the energy of an atom is a sum of f(r) over its neighbours."""
    potential = random_potential(2, species=["Cu", "I"], cutoff=CUTOFF)
    assert len(potential.moment_coeffs) == 1
    return potential


def ase_pairs(atoms: Atoms, reach: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """First and second atom and distance of all pairs."""
    return primitive_neighbor_list("ijd", atoms.pbc, atoms.cell.array, atoms.positions, reach)


def energies_from_ase(potential: MomentTensorPotential, atoms: Atoms, pairs=None) -> np.ndarray:
    """Energies of a potential of pairs, in NumPy, with the neighbours that ASE finds."""
    first, second, r = pairs or ase_pairs(atoms, potential.cutoff)
    r = np.minimum(r, potential.cutoff)
    types = np.array([potential.species.index(symbol) for symbol in atoms.symbols])
    xi = (2 * r - potential.cutoff - potential.min_distance) / (potential.cutoff - potential.min_distance)
    radial = potential.radial_coeffs[types[first], types[second], 0]
    values = (potential.cutoff - r) ** 2 * np.polynomial.chebyshev.chebval(xi, radial.T, tensor=False)
    sums = np.bincount(first, potential.scaling * values, minlength=len(atoms))
    return potential.species_coeffs[types] + potential.moment_coeffs[0] * sums


def n_candidates(potential: MomentTensorPotential, atoms: Atoms, skin: float) -> int:
    evaluator = _native.Evaluator(potential.compiled, skin)
    types = np.array([potential.species.index(symbol) for symbol in atoms.symbols], dtype=np.int32)
    evaluator.update(atoms.positions, types, np.ascontiguousarray(atoms.cell.array), atoms.pbc)
    return evaluator.n_candidates


def random_cell(kind: str, rng: np.random.Generator) -> np.ndarray:
    match kind:
        case "skewed":
            # Reduced it is a small cell, but its vectors are long and nearly parallel.
            small = np.diag(rng.uniform(3, 6, 3)) + rng.normal(scale=0.5, size=(3, 3))
            shear = np.eye(3) + np.triu(rng.integers(-6, 7, (3, 3)), 1)
            return rng.permutation(shear) @ small
        case "flat":
            return np.diag(rng.permutation([0.6, 8.0, 11.0])) + rng.normal(scale=0.05, size=(3, 3))
        case "needle":
            return np.diag(rng.permutation([0.9, 1.1, 25.0])) + rng.normal(scale=0.1, size=(3, 3))
        case "left-handed":
            return -np.diag(rng.uniform(3, 8, 3)) + rng.normal(scale=0.5, size=(3, 3))
        case "large":
            return np.diag(rng.uniform(15, 25, 3)) + rng.normal(scale=3.0, size=(3, 3))
        case _:
            return np.diag(rng.uniform(2, 8, 3)) + rng.normal(scale=0.8, size=(3, 3))


def random_atoms(kind: str, rng: np.random.Generator) -> Atoms:
    """Up to 25 atoms within two cells of the origin, any axes periodic; close atoms are no matter to a list."""
    n = int(rng.integers(1, 26))
    atoms = Atoms(rng.choice(["Cu", "I"], n), cell=random_cell(kind, rng), pbc=rng.random(3) < 0.7)
    atoms.set_scaled_positions(rng.uniform(-2, 2, (n, 3)))
    return atoms


def assert_energies_of_ase(potential: MomentTensorPotential, atoms: Atoms, energies: np.ndarray, pairs=None) -> None:
    expected = energies_from_ase(potential, atoms, pairs)
    # Rounding of up to ten thousand terms. A pair that is missed or counted twice shows unless it is within 1e-5
    # Angstrom of the cutoff, where it does not matter.
    np.testing.assert_allclose(energies, expected, rtol=0, atol=1e-10 * max(1.0, np.abs(expected).max()))


@pytest.mark.filterwarnings("ignore::aiida_iontherm.physics.mtp.kernel.ShortDistanceWarning")
@pytest.mark.parametrize("kind", ["triclinic", "skewed", "flat", "needle", "left-handed", "large"])
def test_neighbours_are_those_of_ase(pairs_only, kind):
    rng = np.random.default_rng(sum(map(ord, kind)))
    for _ in range(5 if kind == "skewed" else 12):  # ASE takes a second for some skewed cells
        atoms = random_atoms(kind, rng)
        pairs = ase_pairs(atoms, CUTOFF + SKIN)
        assert n_candidates(pairs_only, atoms, SKIN) == len(pairs[0])
        assert n_candidates(pairs_only, atoms, 0.0) == np.count_nonzero(pairs[2] < CUTOFF)
        for skin in (0.0, SKIN):
            assert_energies_of_ase(pairs_only, atoms, Kernel(pairs_only, skin=skin).evaluate(atoms).energies, pairs)


@pytest.mark.parametrize("pbc", list(np.ndindex(2, 2, 2)))
def test_atoms_on_the_boundary(pairs_only, pbc):
    """Corners, edges and faces, from both sides and off by a bit: every atom is there once."""
    cell = np.array([[5.0, 0, 0], [1.0, 6.0, 0], [-0.5, 2.0, 7.0]])
    scaled = np.array([[0, 0, 0], [0.5, 0, 1], [1, 0.5, 0], [0.5, 0.5, 0.5], [0, 1, 0.5]])
    for nudge in (0.0, 1e-17, -1e-17, 1e-9, -1e-9):
        atoms = Atoms("CuICuICu", cell=cell, pbc=np.array(pbc, dtype=bool), scaled_positions=scaled + nudge)
        assert_energies_of_ase(pairs_only, atoms, pairs_only.evaluate(atoms).energies)


def test_atoms_many_cells_away(pairs_only, crystal):
    moved = crystal.copy()
    moved.positions += np.array([[1000, -2000, 3], [-500, 0, 12345]]) @ crystal.cell.array
    # Positions of 1e5 Angstrom have 1e-11 Angstrom of rounding.
    np.testing.assert_allclose(pairs_only.evaluate(moved).energies, pairs_only.evaluate(crystal).energies, rtol=1e-9)
    moved.positions[0] += 2e6 * crystal.cell.array[0]
    with pytest.raises(ValueError, match="within a million cells"):
        pairs_only.evaluate(moved)


def test_cluster_far_apart(pairs_only):
    """Two pairs a kilometre of nothing apart: boxes are as many as atoms need, not as the space between them."""
    atoms = Atoms("CuICuI", [[0, 0, 0], [0, 0, 2.5], [1e5, 1e5, -1e5], [1e5, 1e5, -1e5 + 2.5]])
    assert_energies_of_ase(pairs_only, atoms, pairs_only.evaluate(atoms).energies)


def as_fresh(kernel: Kernel, potential: MomentTensorPotential, atoms: Atoms) -> None:
    """The kept list gives what a new one gives; sums come in another order."""
    mine, fresh = kernel.evaluate(atoms, virials=True), potential.evaluate(atoms)
    for name in ("energies", "forces", "stress", "virials"):
        its = getattr(fresh, name)
        if its is not None:
            np.testing.assert_allclose(getattr(mine, name), its, rtol=0, atol=1e-11 * np.abs(its).max(), err_msg=name)


@pytest.mark.filterwarnings("ignore::aiida_iontherm.physics.mtp.kernel.ShortDistanceWarning")
def test_kept_list_along_a_trajectory(random_potential, each_system):
    """Random walks far beyond the skin, across the boundaries of the cell."""
    potential = random_potential(8)
    atoms = each_system(["Cu", "I"])
    kernel = Kernel(potential, skin=SKIN)
    rng = np.random.default_rng(1)
    drift = rng.normal(scale=0.05, size=3)
    for _ in range(60):
        atoms.positions += drift + rng.normal(scale=0.03, size=atoms.positions.shape)
        as_fresh(kernel, potential, atoms)


@pytest.mark.parametrize("skin", [0.0, 0.1, 5.0])
def test_any_skin(random_potential, crystal, skin):
    potential = random_potential(8)
    kernel = Kernel(potential, skin=skin)
    for seed in range(5):
        crystal.rattle(0.03, seed=seed)
        as_fresh(kernel, potential, crystal)


def test_rebuilt_only_beyond_half_the_skin(pairs_only, crystal):
    evaluator = _native.Evaluator(pairs_only.compiled, SKIN)
    types = np.array([0, 1], dtype=np.int32)

    def update() -> bool:
        return evaluator.update(crystal.positions, types, np.ascontiguousarray(crystal.cell.array), crystal.pbc)

    assert update()
    crystal.positions[0, 0] += 0.499 * SKIN
    assert not update()
    crystal.positions[0, 0] += 0.002 * SKIN
    assert update()
    assert not update()
    types[0] = 1
    assert update()
    crystal.pbc[2] = False
    assert update()
    evaluator.reset()
    assert update()


@pytest.mark.filterwarnings("ignore::aiida_iontherm.physics.mtp.kernel.ShortDistanceWarning")
@pytest.mark.parametrize("scale_atoms", [True, False])
def test_kept_list_in_a_moving_cell(random_potential, each_system, scale_atoms):
    """Barostats, shears and cell relaxations: also where the atoms themselves rest."""
    potential = random_potential(8)
    atoms = each_system(["Cu", "I"])
    kernel = Kernel(potential, skin=SKIN)
    rng = np.random.default_rng(2)
    start = atoms.copy()
    as_fresh(kernel, potential, atoms)
    for step in range(30):
        strain = np.eye(3) + 0.003 * step * rng.normal(size=(3, 3))
        atoms.set_cell(start.cell.array @ strain, scale_atoms=False)
        if scale_atoms:
            atoms.positions = start.positions @ strain
        as_fresh(kernel, potential, atoms)


def test_cell_that_closes_around_resting_atoms(random_potential):
    """The vacuum around a slab is taken away: images that were out of reach come near although no atom has moved."""
    potential = random_potential(8)
    atoms = Atoms("CuI", [[1.0, 1.0, 10.0], [1.2, 0.8, 12.4]], cell=[4.0, 4.0, 22.0], pbc=True)
    kernel = Kernel(potential, skin=SKIN)
    as_fresh(kernel, potential, atoms)
    for height in (12.0, 5.0, 22.0):
        atoms.cell[2, 2] = height
        as_fresh(kernel, potential, atoms)


def test_one_kernel_for_one_system_after_another(random_potential, system):
    """Other atoms, species, numbers and periods: nothing of the last system is left."""
    potential = random_potential(8)
    kernel = Kernel(potential, skin=SKIN)
    names = ["triclinic", "cluster", "one atom", "wire", "below the cutoff", "slab"]
    for seed, name in enumerate(2 * names):
        atoms = system(name, ["Cu", "I"], seed=seed)
        as_fresh(kernel, potential, atoms)
        exchanged = atoms.copy()
        exchanged.symbols[0] = "I" if atoms.symbols[0] == "Cu" else "Cu"
        as_fresh(kernel, potential, exchanged)
        as_fresh(kernel, potential, exchanged[1:] if len(atoms) > 1 else atoms)
        atoms.pbc = ~atoms.pbc & (atoms.cell.lengths() > 0)
        as_fresh(kernel, potential, atoms)


def test_hundred_thousand_atoms():
    """A minute would be too long, and a table of all pairs of atoms would take 40 GB.

    The list needs 42 neighbours of 4 bytes for each atom, and some hundred bytes for atoms and images: 40 MB.
    """
    program = """
import resource, time
import numpy as np
from ase.build import bulk
from aiida_iontherm.physics.mtp import MomentTensorPotential

def memory():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

unit = bulk("Cu", "fcc", a=3.6, cubic=True)
potential = MomentTensorPotential.new(level=2, species=["Cu"], cutoff=5.0, seed=1)
potential = potential.replace(moment_coeffs=np.ones(1))
small = potential.evaluate(unit, virials=False)
atoms = unit * (30, 30, 28)
before, start = memory(), time.process_time()
large = potential.evaluate(atoms, virials=False)
print(len(atoms), np.ptp(large.energies), large.energies[0] - small.energies[0], np.abs(large.forces).max(),
      time.process_time() - start, memory() - before)
"""
    output = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout
    n, spread, difference, force, seconds, megabytes = map(float, output.split())
    assert n == 100800
    # Like atoms in a perfect crystal, of some eV; rounding of positions of a hundred Angstrom.
    assert max(spread, abs(difference), force) < 1e-9
    # Measured: 0.4 s and 40 MB.
    assert seconds < 10
    assert megabytes < 150


@pytest.mark.parametrize(
    ("cell", "pbc"),
    [
        (np.zeros((3, 3)), [True, False, False]),
        (np.diag([4.0, 4.0, 0.0]), True),
        ([[4.0, 0, 0], [0, 4.0, 0], [4.0, 4.0, 0]], True),
        ([[4.0, 0, 0], [0, 4.0, 0], [4.0, 4.0, 1e-3]], True),
    ],
    ids=["no cell", "no third vector", "third vector in the plane", "nearly in the plane"],
)
def test_cells_without_volume(pairs_only, cell, pbc):
    with pytest.raises(ValueError, match=r"vector of zero length|too flat for the cutoff"):
        pairs_only.evaluate(Atoms("Cu", cell=cell, pbc=pbc))


def test_impossible_ranges(pairs_only):
    for skin in (-0.1, np.nan):
        with pytest.raises(ValueError, match="skin not negative"):
            Kernel(pairs_only, skin=skin)


def test_supercell_of_a_solid_has_its_neighbours(pairs_only):
    """Analytic: 12 and 6 neighbours of an fcc atom within 4 Angstrom of a = 3.6 Angstrom, 24 more within 4.6."""
    atoms = bulk("Cu", "fcc", a=3.6) * (2, 2, 2)
    assert n_candidates(pairs_only, atoms, 0.0) == 8 * 18
    assert n_candidates(pairs_only, atoms, SKIN) == 8 * 42
