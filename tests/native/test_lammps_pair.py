"""The pair style iontherm/mtp in LAMMPS against the kernel of this package, on one rank and on two."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from ase import Atoms, units
from ase.build import bulk

from aiida_iontherm import _native
from aiida_iontherm.physics.mtp import MomentTensorPotential
from aiida_iontherm.physics.mtp.lammps import write_grades, write_potential
from aiida_iontherm.physics.mtp.selection import active_set_of

# Both sides sum the same terms, up to a few thousand of them, in another order; dumps have 16 digits.
SAME_SUMS = 1e-10
# The inverse of an active set multiplies rounding of its rows by up to a million (the length of a placeholder).
SAME_GRADES = 1e-8

# Constants of units metal: older than those of ASE.
PRESSURE = 1.6021765e6  # bar in eV/Angstrom^3
MASS = 1.0364269e-4  # eV in u (Angstrom/ps)^2

# LAMMPS's order of the nine components.
CENTROID = [(0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2), (1, 0), (2, 0), (2, 1)]
VOIGT = CENTROID[:6]


def random_potential(level, species, cutoff, **options):
    rng = np.random.default_rng(level)
    blank = MomentTensorPotential.new(
        level=level, species=species, cutoff=cutoff, min_distance=1.2, seed=level, **options
    )
    return replace(
        blank,
        moment_coeffs=rng.normal(size=blank.moment_coeffs.shape),
        species_coeffs=rng.normal(size=blank.species_coeffs.shape),
    )


def soft_potential(cutoff):
    """Repulsive pairs that keep their distance."""
    blank = MomentTensorPotential.new(level=8, species=["Cu", "Cl"], cutoff=cutoff, min_distance=1.5)
    radial = np.zeros_like(blank.radial_coeffs)
    radial[:, :, 0, 0] = 1 / (cutoff - 1.5) ** 2
    coefficients = np.zeros_like(blank.moment_coeffs)
    coefficients[0] = 2.0
    return blank.replace(radial_coeffs=radial, moment_coeffs=coefficients)


def orthorhombic():
    atoms = bulk("CuI", "zincblende", a=6.0, cubic=True).repeat((2, 2, 1))
    atoms.set_cell(atoms.cell.array * [1.0, 1.04, 1.1], scale_atoms=True)
    atoms.symbols[[1, 6, 11, 20]] = "Cs"
    atoms.rattle(0.1, seed=1)
    return atoms


def triclinic():
    atoms = bulk("CuI", "zincblende", a=5.6, cubic=True).repeat((1, 2, 1))
    atoms.set_cell([[5.6, 0, 0], [1.3, 11.0, 0], [-1.1, 2.0, 5.4]], scale_atoms=True)
    atoms.rattle(0.1, seed=2)
    return atoms


def small():
    """Three atoms that see several images of each other and of themselves."""
    atoms = Atoms(
        "CuI2", scaled_positions=[[0.1, 0.1, 0.1], [0.5, 0.6, 0.4], [0.8, 0.2, 0.7]], cell=[3.4, 3.9, 4.3], pbc=True
    )
    atoms.set_cell([[3.4, 0, 0], [0.7, 3.9, 0], [0.3, -0.6, 4.3]], scale_atoms=True)
    return atoms


def cluster():
    """Nine atoms in the upper half of a box: the first of two ranks has none."""
    atoms = Atoms("Cu4I5", positions=2.4 * np.array(list(np.ndindex(3, 3, 1))) + 22, cell=[40, 40, 40])
    atoms.rattle(0.3, seed=3)
    return atoms


# Kinds of systems, with potentials and the order of their elements in LAMMPS.
SYSTEMS = {
    "orthorhombic": (orthorhombic, (10, ["Cs", "Cu", "I"], 5.0), ["I", "Cs", "Cu"]),
    "triclinic": (triclinic, (16, ["Cu", "I"], 5.0), ["Cu", "I"]),
    "small": (small, (8, ["I", "Cu"], 6.0), ["Cu", "I"]),
    "cluster": (cluster, (8, ["Cu", "I"], 4.5), ["Cu", "I"]),
}


@cache
def graded_potential(name):
    """The potential of a system with an active set of three displaced copies of it, and the system itself displaced."""
    make, (level, species, cutoff), _ = SYSTEMS[name]
    potential = random_potential(level, species, cutoff, radial_size=5)
    frames = []
    for seed in range(3):
        frames.append(make())
        frames[-1].rattle(0.05, seed=10 + seed)
    return potential.replace(active_set=active_set_of(potential, frames))


def write_data(path, atoms, elements):
    """Atoms, masses and velocities; the cell is lower triangular."""
    cell = atoms.cell.array
    velocities = atoms.get_velocities() * 1000 * units.fs
    masses = [atoms[[s == element for s in atoms.symbols]].get_masses()[0] for element in elements]
    lines = ["", "", f"{len(atoms)} atoms", f"{len(elements)} atom types"]
    lines += [f"0 {cell[a, a]:.17g} {axis}lo {axis}hi" for a, axis in enumerate("xyz")]
    lines += [f"{cell[1, 0]:.17g} {cell[2, 0]:.17g} {cell[2, 1]:.17g} xy xz yz"]
    lines += ["", "Masses", "", *(f"{k + 1} {mass:.17g}" for k, mass in enumerate(masses)), "", "Atoms # atomic", ""]
    for i, (symbol, r) in enumerate(zip(atoms.symbols, atoms.positions, strict=True)):
        lines.append(f"{i + 1} {elements.index(symbol) + 1} {r[0]:.17g} {r[1]:.17g} {r[2]:.17g}")
    lines += ["", "Velocities", "", *(f"{i + 1} {v[0]:.17g} {v[1]:.17g} {v[2]:.17g}" for i, v in enumerate(velocities))]
    path.write_text("\n".join(lines) + "\n")


def preamble(atoms, style, elements):
    return [
        "units metal",
        "atom_style atomic",
        f"boundary {'p p p' if atoms.pbc.all() else 'f f f'}",
        "read_data data",
        "plugin load PLUGIN",
        f"pair_style {style}",
        f"pair_coeff * * {' '.join(elements)}",
    ]


EVERYTHING = [
    "compute ke all ke/atom",
    "compute pe all pe/atom",
    "compute cv all centroid/stress/atom NULL virial",
    "compute sv all stress/atom NULL virial",
    "compute flux all heat/flux ke pe cv",
    "compute press all pressure NULL virial",
    "thermo_style custom step pe vol c_press[*] c_flux[*]",
    "thermo_modify format float %.16g",
    "dump d all custom 1 dump id fx fy fz c_pe c_cv[*] c_sv[*]",
    "dump_modify d format float %.16g",
]
GRADES = [
    "fix g all pair 1 iontherm/mtp grade 1",
    "compute max all pair iontherm/mtp",
    "thermo_style custom step pe c_max[1]",
    "thermo_modify format float %.16g",
    "dump d all custom 1 dump id f_g",
    "dump_modify d format float %.16g",
]


def same(found, expected, tolerance=SAME_SUMS):
    """Whether numbers agree relative to the largest of them."""
    expected = np.asarray(expected)
    return np.abs(np.asarray(found) - expected).max() <= tolerance * np.abs(expected).max()


def moving(name):
    atoms = SYSTEMS[name][0]()
    rng = np.random.default_rng(7)
    atoms.set_velocities(rng.normal(size=(len(atoms), 3)) * 5 / (1000 * units.fs))
    return atoms


@pytest.mark.parametrize("ranks", [1, 2])
@pytest.mark.parametrize("name", SYSTEMS)
def test_energies_forces_virials_and_heat_current(lammps, name, ranks):
    atoms, elements = moving(name), SYSTEMS[name][2]
    potential = graded_potential(name)
    potential.write(lammps.folder / "pot.mtp")
    write_data(lammps.folder / "data", atoms, elements)
    output = lammps.run([*preamble(atoms, "iontherm/mtp pot.mtp", elements), *EVERYTHING, "run 0"], ranks)
    assert output.returncode == 0, output.text
    expected = potential.evaluate(atoms)
    (thermo,), columns = output.thermo(), output.atoms
    velocities = atoms.get_velocities() * 1000 * units.fs

    assert same(thermo["PotEng"], expected.energy)
    assert same(columns["c_pe"], expected.energies)
    assert same(np.transpose([columns[f"f{x}"] for x in "xyz"]), expected.forces)
    # Computes of stress give minus the virial.
    centroid = -np.transpose([columns[f"c_cv[{k + 1}]"] for k in range(9)]) / PRESSURE
    assert same(centroid, np.transpose([expected.virials[:, a, b] for a, b in CENTROID]))
    symmetric = (expected.virials + expected.virials.swapaxes(1, 2)) / 2
    per_atom = -np.transpose([columns[f"c_sv[{k + 1}]"] for k in range(6)]) / PRESSURE
    assert same(per_atom, np.transpose([symmetric[:, a, b] for a, b in VOIGT]))
    pressure = np.array([thermo[f"c_press[{k + 1}]"] for k in range(6)]) * thermo["Volume"] / PRESSURE
    assert same(pressure, [symmetric.sum(axis=0)[a, b] for a, b in VOIGT])
    if expected.stress is not None:
        stress = -np.array([thermo[f"c_press[{k + 1}]"] for k in range(6)]) / PRESSURE
        assert same(stress, [expected.stress[a, b] for a, b in VOIGT])

    kinetic = 0.5 * MASS * atoms.get_masses() * (velocities**2).sum(axis=1)
    convective = np.einsum("i,ia->a", expected.energies + kinetic, velocities)
    potential_part = np.einsum("jab,jb->a", expected.virials, velocities)
    assert same([thermo[f"c_flux[{a + 4}]"] for a in range(3)], convective)
    assert same([thermo[f"c_flux[{a + 1}]"] for a in range(3)], convective + potential_part)


def test_virial_of_a_run_without_virials_by_atom(lammps):
    # The sweeps sum it in another way when nobody asks for it atom by atom.
    atoms, elements = moving("triclinic"), SYSTEMS["triclinic"][2]
    potential = graded_potential("triclinic")
    potential.write(lammps.folder / "pot.mtp")
    write_data(lammps.folder / "data", atoms, elements)
    lines = [
        "compute press all pressure NULL virial",
        "thermo_style custom step c_press[*]",
        "thermo_modify format float %.16g",
    ]
    output = lammps.run([*preamble(atoms, "iontherm/mtp pot.mtp", elements), *lines, "run 0"])
    (thermo,) = output.thermo()
    expected = potential.evaluate(atoms).stress
    assert same([-thermo[f"c_press[{k + 1}]"] / PRESSURE for k in range(6)], [expected[a, b] for a, b in VOIGT])


@pytest.mark.parametrize("converted", [False, True])
def test_potentials_of_mlip(lammps, shared_data, converted):
    path = shared_data / "mtp" / "fitting" / "crystals" / "multi" / "10" / "pot.mtp"
    if not path.is_file():
        pytest.skip(f"no {path}")
    species = ["Cu", "I", "Cs"]  # whatever they were: the file does not say
    potential = MomentTensorPotential.read(path, species=species)
    atoms = orthorhombic()
    if converted:
        write_potential(potential, lammps.folder / "pot.mtp")
        style = "iontherm/mtp pot.mtp"
    else:
        style = f"iontherm/mtp {path} species Cu I Cs"
    write_data(lammps.folder / "data", atoms, species)
    output = lammps.run([*preamble(atoms, style, species), *EVERYTHING, "run 0"])
    assert output.returncode == 0, output.text
    expected = potential.evaluate(atoms)
    assert same(output.atoms["c_pe"], expected.energies)
    assert same(np.transpose([output.atoms[f"f{x}"] for x in "xyz"]), expected.forces)


@pytest.mark.parametrize("ranks", [1, 2])
@pytest.mark.parametrize("name", ["orthorhombic", "small"])
def test_grades_of_atoms(lammps, name, ranks):
    atoms, elements = moving(name), SYSTEMS[name][2]
    potential = graded_potential(name)
    potential.write(lammps.folder / "pot.mtp")
    write_grades(potential, lammps.folder / "pot.grades")
    write_data(lammps.folder / "data", atoms, elements)
    style = "iontherm/mtp pot.mtp grades pot.grades"
    output = lammps.run([*preamble(atoms, style, elements), *GRADES, "run 0"], ranks)
    assert output.returncode == 0, output.text
    expected = potential.evaluate(atoms, grades=True).grades
    assert expected.max() > 1.1  # outside of the set, else nothing would be compared
    assert same(output.atoms["f_g"], expected, SAME_GRADES)
    assert same(output.thermo()[0]["c_max[1]"], expected.max(), SAME_GRADES)


@pytest.mark.parametrize("ranks", [1, 2])
def test_grade_of_a_configuration(lammps, ranks):
    potential = graded_potential("triclinic")
    frames = [triclinic() for _ in range(4)]
    for seed, frame in enumerate(frames):
        frame.rattle(0.05, seed=20 + seed)
    potential = potential.replace(active_set=active_set_of(potential, frames[:3], mode="configuration"))
    potential.write(lammps.folder / "pot.mtp")
    write_grades(potential, lammps.folder / "pot.grades")
    write_data(lammps.folder / "data", frames[3], ["Cu", "I"])
    lines = preamble(frames[3], "iontherm/mtp pot.mtp grades pot.grades", ["Cu", "I"])
    output = lammps.run([*lines, *GRADES, "run 0"], ranks)
    assert output.returncode == 0, output.text
    assert same(output.atoms["f_g"], potential.evaluate(frames[3], grades=True).grades, SAME_GRADES)


def graded_run(lammps, last):
    """Input of a hot run of the triclinic cell, heated so that it leaves the active set."""
    potential, atoms = graded_potential("triclinic"), moving("triclinic")
    potential.write(lammps.folder / "pot.mtp")
    write_grades(potential, lammps.folder / "pot.grades")
    write_data(lammps.folder / "data", atoms, ["Cu", "I"])
    lines = preamble(atoms, "iontherm/mtp pot.mtp grades pot.grades", ["Cu", "I"])
    return [*lines, "fix nve all nve", "timestep 0.0005", "compute max all pair iontherm/mtp", *last]


def test_halt_by_the_largest_grade(lammps):
    halting = ["thermo 100", "variable grade equal c_max[1]", "fix halt all halt 5 v_grade > 1e3 error soft"]
    output = lammps.run(graded_run(lammps, [*halting, "run 100", 'print "step $(step) grade $(c_max[1])"']))
    assert output.returncode == 0, output.text
    (found,) = [line.split() for line in output.text.splitlines() if line.startswith("step")]
    step, grade = int(found[1]), float(found[3])
    # Only on the steps on which the halt looks, none of which is one of thermodynamic output.
    assert 0 < step < 100
    assert step % 5 == 0
    assert grade > 1e3


def test_grades_follow_the_atoms(lammps):
    """On a later step, between which none was asked for, the grades are those of where the atoms are then."""
    last = [
        "fix g all pair 10 iontherm/mtp grade 1",
        "dump d all custom 10 dump id x y z f_g",
        "dump_modify d format float %.16g",
        "thermo_style custom step c_max[1]",
        "thermo 10",
        "thermo_modify format float %.16g",
        "run 10",
    ]
    output = lammps.run(graded_run(lammps, last), ranks=2)
    assert output.returncode == 0, output.text
    atoms = triclinic()
    atoms.positions = np.transpose([output.atoms[x] for x in "xyz"])
    expected = graded_potential("triclinic").evaluate(atoms, grades=True).grades
    assert same(output.atoms["f_g"], expected, SAME_GRADES)
    assert same(output.thermo()[-1]["c_max[1]"], expected.max(), SAME_GRADES)


@pytest.fixture(scope="module")
def copper_chloride():
    atoms = bulk("CuCl", "zincblende", a=5.42, cubic=True).repeat(2)
    atoms.set_velocities(np.random.default_rng(4).normal(size=(64, 3)) * 3 / (1000 * units.fs))
    return atoms


@pytest.mark.parametrize("ranks", [1, 2])
def test_dynamics_are_those_of_the_compiled_loop(lammps, copper_chloride, ranks):
    atoms, potential, steps = copper_chloride, soft_potential(5.0), 200
    potential.write(lammps.folder / "pot.mtp")
    write_data(lammps.folder / "data", atoms, ["Cu", "Cl"])
    lines = [
        *preamble(atoms, "iontherm/mtp pot.mtp", ["Cu", "Cl"]),
        "neighbor 0.5 bin",
        "fix nve all nve",
        "timestep 0.002",
        "thermo_style custom step etotal pe",
        "thermo_modify format float %.16g",
        "thermo 20",
        f"dump d all custom {steps} dump id xu yu zu vx vy vz",
        "dump_modify d format float %.16g",
        f"run {steps}",
    ]
    output = lammps.run(lines, ranks)
    assert output.returncode == 0, output.text
    assert int(output.text.split("Neighbor list builds =")[1].split()[0]) > 0  # and atoms changed their rank

    time = 2.0 * units.fs
    # In LAMMPS's own constants, which are wrong in the eighth digit.
    masses = atoms.get_masses() * MASS * (1000 * units.fs) ** 2
    types = np.array([["Cu", "Cl"].index(symbol) for symbol in atoms.symbols], dtype=np.int32)
    loop = _native.MolecularDynamics(
        potential.compiled, types, masses, np.zeros(64, dtype=bool), atoms.cell.array, atoms.pbc, time, 0.5
    )
    loop.set_thermostat("none")
    loop.set_state(atoms.positions, atoms.get_velocities(), 0)
    nobody = np.zeros(0, dtype=np.int32)
    loop.run(steps, _native.Sampling(nobody, nobody), np.inf)
    positions = np.transpose([output.atoms[f"{x}u"] for x in "xyz"])
    assert np.abs(positions - atoms.positions).max() > 0.5
    # Rounding of 1e-15 grows with the divergence of trajectories: 1e-11 were seen after 200 steps.
    assert np.abs(positions - loop.positions).max() < 1e-9
    velocities = np.transpose([output.atoms[f"v{x}"] for x in "xyz"])
    assert np.abs(velocities / (1000 * units.fs) - loop.velocities).max() < 1e-9 / time

    energies = [row["TotEng"] for row in output.thermo()]
    # The error of velocity Verlet at 2 fs, against a potential energy that changes by eV.
    assert np.ptp(energies) < 0.02 * np.ptp([row["PotEng"] for row in output.thermo()])


def test_beside_another_pair_style(lammps):
    """In hybrid/overlay, with atoms of a type that is not the potential's own."""
    atoms = moving("triclinic")
    potential = graded_potential("triclinic")
    potential.write(lammps.folder / "pot.mtp")
    strangers = Atoms("Xe2", positions=[[1.0, 1.3, 0.4], [4.0, 6.0, 2.4]])
    write_data(lammps.folder / "data", atoms + strangers, ["Cu", "I", "Xe"])
    lines = preamble(atoms, "hybrid/overlay iontherm/mtp pot.mtp zero 6.0", ["iontherm/mtp", "Cu", "I", "NULL"])
    output = lammps.run([*lines, "pair_coeff * * zero", *EVERYTHING, "run 0"], ranks=2)
    assert output.returncode == 0, output.text
    expected = potential.evaluate(atoms)
    assert same(output.atoms["c_pe"], [*expected.energies, 0, 0])
    assert same(np.transpose([output.atoms[f"f{x}"] for x in "xyz"])[:-2], expected.forces)
    centroid = -np.transpose([output.atoms[f"c_cv[{k + 1}]"] for k in range(9)])[:-2] / PRESSURE
    assert same(centroid, np.transpose([expected.virials[:, a, b] for a, b in CENTROID]))


MISTAKES = {
    "no file": ({"pair_style": "pair_style iontherm/mtp"}, "The file of the potential is missing"),
    "wrong file": ({"pair_style": "pair_style iontherm/mtp absent.mtp"}, "There is no file absent.mtp"),
    "no potential": ({"pair_style": "pair_style iontherm/mtp data"}, "the first line is not MTP"),
    "unknown keyword": ({"pair_style": "pair_style iontherm/mtp pot.mtp grade x"}, "'grade' is not understood here"),
    "no names": ({"pair_style": "pair_style iontherm/mtp nameless.mtp"}, "does not name its 2 species"),
    "too few names": ({"pair_style": "pair_style iontherm/mtp nameless.mtp species Cu"}, "2 species but 1 are named"),
    "a name twice": ({"pair_style": "pair_style iontherm/mtp nameless.mtp species Cu Cu"}, "Cu is named twice"),
    "other order": (
        {"pair_style": "pair_style iontherm/mtp pot.mtp species I Cu"},
        "a potential of Cu I in this order",
    ),
    "other element": ({"pair_coeff": "pair_coeff * * Cu Ag"}, "knows Cu I but not Ag"),
    "too few elements": ({"pair_coeff": "pair_coeff * * Cu"}, "one element for each of the 2 atom types"),
    "no element": ({"pair_coeff": "pair_coeff * * Cu NULL"}, "All pair coeffs are not set"),
    "units": ({"units": "units real"}, "begin the input with 'units metal'"),
    "newton": ({"boundary": "newton off"}, "needs 'newton on'"),
    "bonds": ({"atom_style": "atom_style bond", "read_data": "read_data bonded"}, "special_bonds lj/coul 1 1 1"),
    "given anew": ({"run": "pair_style iontherm/mtp pot.mtp\nrun 0"}, "All pair coeffs are not set"),
    "no grades": ({"run": "fix g all pair 1 iontherm/mtp grade 1"}, "has no grades without an active set"),
    "npz": ({"pair_style": "pair_style iontherm/mtp pot.mtp grades data"}, "no file of write_grades"),
    "grades cut short": ({"pair_style": "pair_style iontherm/mtp pot.mtp grades stump.grades"}, "cut short"),
    "other grades": (
        {"pair_style": "pair_style iontherm/mtp pot.mtp grades other.grades"},
        "belongs to another potential",
    ),
    "coincident atoms": ({"read_data": "read_data coincident"}, "Two atoms are at the same place"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_named_with_the_remedy(lammps, mistake):
    changes, message = MISTAKES[mistake]
    potential, atoms = graded_potential("triclinic"), triclinic()
    folder = lammps.folder
    potential.write(folder / "pot.mtp")
    text = (folder / "pot.mtp").read_text()
    (folder / "nameless.mtp").write_text(text.replace("potential_tag = species Cu I", "potential_tag = "))
    write_grades(potential, folder / "pot.grades")
    (folder / "stump.grades").write_bytes((folder / "pot.grades").read_bytes()[:-8])
    other = potential.replace(scaling=2.0, active_set=None)
    write_grades(other.replace(active_set=active_set_of(other, [atoms])), folder / "other.grades")
    write_data(folder / "data", atoms, ["Cu", "I"])
    coincident = atoms.copy()
    coincident.positions[3] = coincident.positions[4]
    write_data(folder / "coincident", coincident, ["Cu", "I"])
    # With a molecule to which each atom belongs, but no bonds yet.
    rows = (folder / "data").read_text().replace("atom types", "atom types\n1 bond types").split("# atomic\n\n")
    atom_rows, velocities = rows[1].split("\n\n", 1)
    molecules = "\n".join(f"{row.split()[0]} 1 {row.split(maxsplit=1)[1]}" for row in atom_rows.splitlines())
    (folder / "bonded").write_text(f"{rows[0]}\n\n{molecules}\n\n{velocities}")
    lines = [*preamble(atoms, "iontherm/mtp pot.mtp", ["Cu", "I"]), "run 0"]
    for command, line in changes.items():
        lines = [line if given.split()[0] == command else given for given in lines]
    output = lammps.run(lines)
    assert output.returncode != 0
    assert message in " ".join(output.text.split())


def changed(old, new):
    return lambda text: text.replace(old, new, 1)


def cut(where):
    return lambda text: text[: text.index(where) + len(where)]


DAMAGE = {
    "cut short": (cut("species_"), "is neither key = value nor a row of radial_coeffs"),
    "cut at a line": (lambda text: text[: text.index("species_coeffs")], "species_coeffs is missing: the file is cut"),
    "cut in a list": (cut("alpha_index_times = {{0"), "is not a list closed by }"),
    "no number": (changed("moment_coeffs = {", "moment_coeffs = {nan, "), "is no finite number"),
    "a coefficient more": (changed("moment_coeffs = {", "moment_coeffs = {1, "), "but alpha_scalar_moments is"),
    "a pair less": (changed("\t\t1-1\n", "\t\t7-7\n"), "lack the pair 1-1"),
    "twice": (changed("scaling", "scaling = 1\nscaling"), "is given twice"),
    "other basis": (changed("RBChebyshev", "RBShapeev"), "'RBShapeev' is not supported"),
    "range": (changed("max_dist = 5", "max_dist = 1"), "must lie between 0 and max_dist"),
    "huge count": (changed("alpha_moments_count = ", "alpha_moments_count = 9999"), "the file is damaged"),
    "magnetic": (changed("MTP\n", "MTP\nmag_basis_size = 2\n"), "magnetic potentials are not supported"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_potentials_are_named(lammps, damage):
    change, message = DAMAGE[damage]
    graded_potential("triclinic").write(lammps.folder / "pot.mtp")
    path = lammps.folder / "pot.mtp"
    text = path.read_text()
    assert change(text) != text
    path.write_text(change(text))
    lines = [
        "units metal",
        "region r block 0 9 0 9 0 9",
        "create_box 2 r",
        "plugin load PLUGIN",
        "pair_style iontherm/mtp pot.mtp",
    ]
    output = lammps.run(lines, ranks=2 if damage == "cut short" else 1)
    assert output.returncode != 0
    assert message in " ".join(output.text.split())


def test_a_short_distance_is_told_once(lammps):
    potential, atoms = graded_potential("triclinic"), triclinic()
    potential.write(lammps.folder / "pot.mtp")
    atoms.positions[1] = atoms.positions[0] + [1.0, 0, 0]
    write_data(lammps.folder / "data", atoms, ["Cu", "I"])
    output = lammps.run([*preamble(atoms, "iontherm/mtp pot.mtp", ["Cu", "I"]), "run 1"])
    assert output.text.count("Two atoms are 1.000 Angstrom apart, closer than the 1.200") == 1


def test_grades_need_an_active_set(tmp_path):
    potential = graded_potential("triclinic")
    with pytest.raises(ValueError, match="carries no active set"):
        write_grades(potential.replace(active_set=None), tmp_path / "pot.grades")
    with pytest.raises(ValueError, match="belongs to another potential"):
        write_grades(potential.replace(scaling=2.0), tmp_path / "pot.grades")
    assert list(tmp_path.iterdir()) == []
