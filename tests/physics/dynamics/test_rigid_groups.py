import numpy as np
import pytest
from ase import Atoms, units
from ase.build import molecule
from ase.calculators.calculator import Calculator, all_changes
from ase.constraints import FixAtoms, FixBondLengths, FixCom
from ase.md.langevin import Langevin
from ase.md.velocitydistribution import thermalize_momenta
from ase.md.verlet import VelocityVerlet

from aiida_iontherm.physics.dynamics.rigid_groups import rigid_constraint

CORNERS = 2.05 / np.sqrt(3) * np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]])
GROUPS = [np.arange(6 * group, 6 * group + 5) for group in range(3)]


class Springs(Calculator):
    """Anharmonic springs of different stiffness that tie each atom to a place of its own."""

    implemented_properties = ("energy", "forces")

    def __init__(self, places, stiffness):
        super().__init__()
        self.places, self.stiffness = places, stiffness

    def calculate(self, atoms=None, properties=None, system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        away = atoms.positions - self.places
        self.results = {
            "energy": float(np.sum(self.stiffness[:, None] * away**2 / 2 + away**4 / 8)),
            "forces": -self.stiffness[:, None] * away - away**3 / 2,
        }


def crystal(seed=0, constrained=True, temperature=600.0):
    """Three PS4, one across the boundary, each with a Li; with momenta drawn under the constraint."""
    positions, symbols = [], []
    for group in range(3):
        centre = np.array([6.0 * group, 0.1, 0.1])
        positions += [centre, *(centre + CORNERS), centre + 3.0]
        symbols += ["P", "S", "S", "S", "S", "Li"]
    atoms = Atoms(symbols, positions=positions, cell=[18, 8, 8], pbc=True)
    atoms.wrap()
    rng = np.random.default_rng(seed)
    atoms.calc = Springs(atoms.positions + rng.normal(0, 0.1, (18, 3)), rng.uniform(0.5, 3, 18))
    if constrained:
        atoms.set_constraint(rigid_constraint(atoms, GROUPS))
    thermalize_momenta(atoms, temperature, rng=rng)
    return atoms


def distances(atoms):
    return np.concatenate([atoms.get_all_distances(mic=True)[np.ix_(group, group)].ravel() for group in GROUPS])


def test_energy_and_shape_are_kept():
    """Velocity Verlet stays of second order and without drift; every distance stays, the one not held too."""
    swings = []
    for step_fs in (2.0, 1.0):
        atoms = crystal()
        before, energies = distances(atoms), []
        dynamics = VelocityVerlet(atoms, step_fs * units.fs)
        for _ in range(150):
            dynamics.run(round(4 / step_fs))
            energies.append(atoms.get_total_energy())
            assert np.abs(distances(atoms) - before).max() < 1e-8
        swings.append(np.ptp(energies))
        drift = np.mean(energies[75:]) - np.mean(energies[:75])
        # 18 atoms at 600 K have 1 eV of kinetic energy
        assert abs(drift) < 0.3 * swings[-1] < 5e-4
    assert swings[0] / swings[1] == pytest.approx(4, rel=0.2)  # dt^2; the next order is dt^4


def test_reversible():
    atoms = crystal()
    start = atoms.get_positions()
    VelocityVerlet(atoms, 2 * units.fs).run(100)
    moved = np.abs(atoms.positions - start).max()
    atoms.set_momenta(-atoms.get_momenta())
    VelocityVerlet(atoms, 2 * units.fs).run(100)
    assert moved > 0.2
    np.testing.assert_allclose(atoms.positions, start, atol=1e-9)  # rounding, grown by 200 steps of chaos


def test_same_path_as_bond_by_bond():
    """ASE's own constraint, on the same independent distances."""
    ours, theirs = crystal(), crystal()
    constraint = ours.constraints[0]
    pairs = np.concatenate([group[pair] for group, pair in zip(constraint.groups, constraint.pairs, strict=True)])
    momenta = ours.get_momenta()
    theirs.set_constraint(FixBondLengths(pairs))
    theirs.set_momenta(momenta)
    np.testing.assert_allclose(theirs.get_momenta(), momenta, atol=1e-9)  # already without forbidden parts
    for atoms in (ours, theirs):
        VelocityVerlet(atoms, 2 * units.fs).run(4)
    # its tolerance of 1e-13 per sweep leaves more at the end of a slow iteration
    np.testing.assert_allclose(ours.positions, theirs.positions, atol=1e-10)


def test_a_free_group_is_a_rigid_body():
    """Without forces momentum and angular momentum are conserved, and the centre goes straight."""
    atoms = Atoms("PS4", positions=np.concatenate([np.zeros((1, 3)), CORNERS]) + 10, cell=20 * np.eye(3), pbc=True)
    atoms.calc = Springs(atoms.get_positions(), np.zeros(5))
    atoms.calc.calculate = lambda *_args, **_options: atoms.calc.results.update(energy=0.0, forces=np.zeros((5, 3)))
    atoms.set_constraint(rigid_constraint(atoms, [range(5)]))
    thermalize_momenta(atoms, 600, rng=np.random.default_rng(1))
    spin, momentum, centre = atoms.get_angular_momentum(), atoms.get_momenta().sum(axis=0), atoms.get_center_of_mass()
    assert np.linalg.norm(spin) > 0.5
    steps, step = 1000, 2 * units.fs
    VelocityVerlet(atoms, step).run(steps)
    np.testing.assert_allclose(atoms.get_momenta().sum(axis=0), momentum, atol=1e-10)  # rounding
    np.testing.assert_allclose(atoms.get_angular_momentum(), spin, atol=1e-9)
    expected = centre + momentum / atoms.get_masses().sum() * steps * step
    np.testing.assert_allclose(atoms.get_center_of_mass(), expected, atol=1e-9)


@pytest.mark.parametrize("fixed_centre", [False, True])
def test_temperature_of_the_remaining_degrees(fixed_centre):
    """Langevin at 600 K: the mean and the width of the kinetic energy are those of 54 - 27 (- 3) degrees."""
    atoms = crystal(3)
    held = list(atoms.constraints)
    assert held[0].removed_degrees == 27
    degrees = 54 - 27
    if fixed_centre:
        atoms.set_constraint([*held, FixCom()])
        degrees -= 3
    assert atoms.get_number_of_degrees_of_freedom() == degrees
    before = distances(atoms)
    rng = np.random.default_rng(4)
    dynamics = Langevin(atoms, 2 * units.fs, temperature_K=600, friction=0.05 / units.fs, fixcm=False, rng=rng)
    dynamics.run(200)
    energies = []
    for _ in range(500):
        dynamics.run(4)
        energies.append(atoms.get_kinetic_energy())
    # 4 ps with a memory of 0.02 ps: 200 independent values of a relative width sqrt(2/27) = 0.27, 1.9 % of the mean;
    # the integrator itself is off by some tenths of a per cent. Two degrees too many or too few would be 7 %
    assert np.mean(energies) == pytest.approx(degrees * units.kB * 600 / 2, rel=0.065)
    # 5 % of the width
    assert np.std(energies) / np.mean(energies) == pytest.approx(np.sqrt(2 / degrees), rel=0.2)
    assert np.abs(distances(atoms) - before).max() < 1e-8


def test_forces_of_constraint_do_no_work():
    atoms = crystal()
    free = atoms.get_forces(apply_constraint=False)
    held = atoms.get_forces()
    constraint = atoms.constraints[0]
    np.testing.assert_allclose(constraint.constraint_forces, held - free, atol=1e-12)  # rounding
    # they act within the groups: no force and no torque on the whole of one
    for group in GROUPS:
        inner = constraint.constraint_forces[group]
        np.testing.assert_allclose(inner.sum(axis=0), 0, atol=1e-10)
        place = atoms.positions[group[0]]
        arms = atoms.get_distances(group[0], group, mic=True, vector=True)
        np.testing.assert_allclose(np.cross(arms + place * 0, inner).sum(axis=0), 0, atol=1e-10)
    assert np.sum(constraint.constraint_forces * atoms.get_velocities()) == pytest.approx(0, abs=1e-10)


@pytest.mark.parametrize(("name", "held"), [("H2O", 3), ("CH4", 9), ("C2H6", 18), ("CH3OH", 12), ("NH3", 6)])
def test_number_of_degrees(name, held):
    """3 n - 6 of molecules of several sizes and shapes."""
    atoms = molecule(name, cell=15 * np.eye(3), pbc=True)
    constraint = rigid_constraint(atoms, [range(len(atoms))])
    assert constraint.removed_degrees == held == 3 * len(atoms) - 6
    assert sorted(constraint.get_indices()) == list(range(len(atoms)))
    # what is left moves as a rigid body: with six degrees
    rng = np.random.default_rng(5)
    basis = []
    for _ in range(30):
        momenta = rng.normal(size=(len(atoms), 3))
        constraint.adjust_momenta(atoms, momenta)
        basis.append(momenta.ravel())
    assert np.linalg.matrix_rank(np.array(basis), tol=1e-8) == 6


def test_groups_of_different_sizes():
    atoms = molecule("CH4", cell=15 * np.eye(3), pbc=True) + molecule("H2O") + Atoms("Li")
    atoms.positions[5:8] += 5
    atoms.positions[8] += 7
    constraint = rigid_constraint(atoms, [range(5), range(5, 8)])
    assert constraint.removed_degrees == 12
    wanted = atoms.positions + np.random.default_rng(6).normal(0, 0.05, atoms.positions.shape)
    moved = wanted.copy()
    constraint.adjust_positions(atoms, moved)
    new = Atoms(atoms.symbols, positions=moved)
    for group in (range(5), range(5, 8)):
        held = new.get_all_distances()[np.ix_(group, group)]
        np.testing.assert_allclose(
            held, atoms.get_all_distances()[np.ix_(group, group)], atol=1e-9
        )  # Newton's last step
    np.testing.assert_array_equal(moved[8], wanted[8])


def test_made_again_from_plain_data():
    atoms = crystal()
    constraint = atoms.constraints[0]
    again = type(constraint)(**constraint.todict()["kwargs"])
    momenta = np.random.default_rng(7).normal(size=(18, 3))
    other = momenta.copy()
    constraint.adjust_momenta(atoms, momenta)
    again.adjust_momenta(atoms, other)
    np.testing.assert_array_equal(momenta, other)
    assert atoms.copy().constraints[0].removed_degrees == 27


def test_atoms_wrapped_between_steps():
    """Other images of the atoms are other coordinates of the same crystal."""
    plain, wrapped = crystal(), crystal()
    for atoms in (plain, wrapped):
        atoms.calc = Springs(np.zeros(3), np.zeros(18))
        atoms.calc.calculate = lambda *_args, calc=atoms.calc, **_options: calc.results.update(
            energy=0.0, forces=np.zeros((18, 3))
        )
    for _ in range(20):
        VelocityVerlet(plain, 2 * units.fs).run(20)
        VelocityVerlet(wrapped, 2 * units.fs).run(20)
        wrapped.set_positions(wrapped.get_positions(wrap=True), apply_constraint=False)
    away = (wrapped.positions - plain.positions) / plain.cell.lengths()
    assert np.abs(np.rint(away)).max() >= 1
    np.testing.assert_allclose(away, np.rint(away), atol=1e-9)  # rounding


def test_with_frozen_atoms():
    """Other constraints go with it, as long as they hold other atoms."""
    atoms = crystal()
    atoms.set_constraint([*atoms.constraints, FixAtoms([5, 11, 17])])
    before = atoms.positions[[5, 11, 17]].copy()
    VelocityVerlet(atoms, 2 * units.fs).run(20)
    np.testing.assert_array_equal(atoms.positions[[5, 11, 17]], before)
    assert atoms.get_number_of_degrees_of_freedom() == 54 - 27 - 9


def test_bad_groups():
    atoms = crystal(constrained=False)
    with pytest.raises(ValueError, match="no groups"):
        rigid_constraint(atoms, [])
    with pytest.raises(ValueError, match="two rigid groups"):
        rigid_constraint(atoms, [range(5), range(4, 9)])
    with pytest.raises(ValueError, match="none of the 18"):
        rigid_constraint(atoms, [[16, 17, 18]])
    with pytest.raises(ValueError, match="three atoms or more"):
        rigid_constraint(atoms, [[0, 1]])
    for flat in ("BF3", "CO2", "C6H6"):
        with pytest.raises(ValueError, match="flat or straight"):
            rigid_constraint(molecule(flat), [range(len(molecule(flat)))])
    small = Atoms("PS4", positions=np.concatenate([np.zeros((1, 3)), CORNERS]), cell=4.5 * np.eye(3), pbc=True)
    with pytest.raises(ValueError, match="half of the cell"):
        rigid_constraint(small, [range(5)])


def test_a_step_too_long():
    atoms = crystal()
    far = atoms.positions.copy()
    far[GROUPS[0]] += np.random.default_rng(8).normal(0, 20, (5, 3))
    with pytest.raises(ValueError, match="shorter time step"):
        atoms.constraints[0].adjust_positions(atoms, far)
