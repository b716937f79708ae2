"""The program that stands in for VASP: its numbers are the engine's, and every reader of VASP's files finds them."""

import numpy as np
import pytest
from ase import Atoms, units
from ase.calculators.emt import EMT as Emt
from ase.constraints import FixAtoms, FixScaled
from ase.io import read
from ase.spacegroup.symmetrize import check_symmetry
from mock_vasp_folder import EMT, MD, RELAX, execute, prepare
from parsevasp.outcar import Outcar as ParsevaspOutcar
from parsevasp.vasprun import Xml
from pymatgen.io.vasp import Oszicar, Outcar, Vasprun, Xdatcar
from pymatgen.io.vasp.outputs import UnconvergedVASPWarning

from aiida_iontherm.engines.mock_vasp import run

pytestmark = [
    pytest.mark.filterwarnings("ignore:No POTCAR file"),
    pytest.mark.filterwarnings("ignore:Unable to determine the atomic"),
]

PRINTED = 6e-9  # half of the last of eight digits, and a little for the subtraction
POSITIONS = 1e-7  # eight digits of fractional coordinates in cells of up to 7 Angstrom
KILOBAR = 0.1 * units.GPa


@pytest.fixture(scope="module")
def shifted(cuau_cell: Atoms) -> Atoms:
    """CuAu with its gold atom off the middle: forces that are not zero."""
    atoms = cuau_cell.copy()
    atoms.positions[1] += [0.05, 0.02, -0.08]
    return atoms


@pytest.fixture(scope="module")
def crystal(cuau_cell: Atoms) -> Atoms:
    """Eight atoms, species one after the other."""
    atoms = cuau_cell.repeat((2, 2, 1))
    return atoms[np.argsort(-atoms.numbers, kind="stable")]


def by_emt(atoms: Atoms) -> Atoms:
    own = Atoms(atoms.numbers, positions=atoms.positions, cell=atoms.cell, pbc=True)
    own.calc = Emt()
    return own


@pytest.fixture(scope="module")
def static(shifted, tmp_path_factory):
    return execute(tmp_path_factory.mktemp("static") / "run", shifted)


@pytest.fixture(scope="module")
def relaxed(shifted, tmp_path_factory):
    return execute(tmp_path_factory.mktemp("relaxed") / "run", shifted, RELAX | {"ISIF": 3})


@pytest.fixture(scope="module")
def dynamic(crystal, tmp_path_factory):
    return execute(tmp_path_factory.mktemp("dynamic") / "run", crystal, MD)


def test_single_point_is_the_calculators(static, shifted):
    own = by_emt(shifted)
    for name in ("vasprun.xml", "OUTCAR"):
        found = read(static / name)
        # OUTCAR prints forces to six digits, stresses to five in kB, positions to five in Angstrom.
        digits = PRINTED if name == "vasprun.xml" else 6e-7
        assert np.abs(found.get_forces() - own.get_forces()).max() < digits
        assert np.abs(found.get_stress() - own.get_stress()).max() / KILOBAR < (PRINTED if digits == PRINTED else 6e-6)
        assert found.get_potential_energy() == pytest.approx(own.get_potential_energy(), abs=PRINTED)
        assert np.abs(found.positions - shifted.positions).max() < (POSITIONS if digits == PRINTED else 6e-6)
        assert found.get_chemical_symbols() == ["Cu", "Au"]


def test_stress_has_the_sign_of_vasp(cuau_cell, tmp_path):
    """A crystal squeezed by five per cent wants to expand, which VASP calls positive."""
    squeezed = cuau_cell.copy()
    squeezed.set_cell(squeezed.cell * 0.95, scale_atoms=True)
    execute(tmp_path / "run", squeezed)
    stress = Vasprun(tmp_path / "run" / "vasprun.xml", parse_potcar_file=False).ionic_steps[0]["stress"]
    assert np.trace(stress) / 3 > 100
    assert f"external pressure ={np.trace(stress) / 3:12.2f} kB" in (tmp_path / "run" / "OUTCAR").read_text()


def test_pymatgen_and_parsevasp_read_a_single_point(static, shifted):
    own = by_emt(shifted)
    run_xml = Vasprun(static / "vasprun.xml", parse_potcar_file=False)
    assert run_xml.converged
    assert float(run_xml.final_energy) == pytest.approx(own.get_potential_energy(), abs=PRINTED)
    assert run_xml.potcar_symbols == ["PAW_PBE Cu synthetic", "PAW_PBE Au synthetic"]
    assert run_xml.run_type == "GGA"
    assert run_xml.parameters["ENMAX"] == 300.0
    outcar = Outcar(static / "OUTCAR")
    assert outcar.final_energy == pytest.approx(own.get_potential_energy(), abs=PRINTED)
    assert outcar.nelect == 22.0  # eleven electrons of copper, eleven of gold
    assert outcar.run_stats["Elapsed time (sec)"] > 0
    xml = Xml(file_path=str(static / "vasprun.xml"))
    assert not xml.truncated
    assert np.abs(xml.get_forces("last") - own.get_forces()).max() < PRINTED
    assert xml.get_energies("last", etype=["energy_free"])["energy_free_final"] == pytest.approx(
        own.get_potential_energy(), abs=PRINTED
    )
    status = ParsevaspOutcar(file_path=str(static / "OUTCAR")).get_run_status()
    assert status["finished"]
    assert status["electronic_converged"]
    assert status["ionic_converged"] is None  # nothing moved


def test_every_step_of_a_relaxation_is_the_calculators(relaxed):
    frames = read(relaxed / "vasprun.xml", index=":")
    assert len(frames) > 3
    for frame in frames:
        own = by_emt(frame)
        # Positions rounded to 1e-8 of the cell times force constants below 20 eV/Angstrom^2.
        assert np.abs(frame.get_forces() - own.get_forces()).max() < 1e-6
        assert np.abs(frame.get_stress() - own.get_stress()).max() < 1e-7
    last = frames[-1]
    assert np.linalg.norm(last.get_forces(), axis=1).max() < 0.01
    # The force on the cell, volume times stress, is held to the same.
    assert np.abs(last.get_stress()[:3] * last.get_volume()).max() < 0.01
    assert last.get_volume() != pytest.approx(frames[0].get_volume(), rel=1e-3)
    assert "reached required accuracy" in (relaxed / "OUTCAR").read_text()
    found = Vasprun(relaxed / "vasprun.xml", parse_potcar_file=False)
    assert found.converged
    assert found.nionic_steps == len(frames) == len(Xdatcar(relaxed / "XDATCAR").structures)
    contcar = read(relaxed / "CONTCAR", format="vasp")
    assert np.abs(contcar.cell - last.cell).max() < PRINTED
    assert np.abs(contcar.positions - last.positions).max() < POSITIONS
    assert ParsevaspOutcar(file_path=str(relaxed / "OUTCAR")).get_run_status()["ionic_converged"]


@pytest.mark.parametrize(("ibrion", "isif"), [(1, 2), (2, 2), (1, 4), (1, 8)])
def test_relaxations_arrive_with_what_they_may_move(shifted, tmp_path, ibrion, isif):
    folder = execute(tmp_path / "run", shifted, RELAX | {"IBRION": ibrion, "ISIF": isif})
    last = by_emt(read(folder / "CONTCAR", format="vasp"))
    assert np.linalg.norm(last.get_forces(), axis=1).max() < 0.01
    stretch = last.cell.array / np.where(shifted.cell.array == 0, 1, shifted.cell.array)
    if isif == 2:
        assert np.abs(last.cell - shifted.cell).max() < 1e-12
    if isif == 4:
        assert last.get_volume() == pytest.approx(shifted.get_volume(), rel=1e-9)
        assert np.ptp(np.diag(stretch)) > 1e-3
    if isif == 8:
        assert np.ptp(np.diag(stretch)) < 1e-9
        assert abs(np.trace(last.get_stress(voigt=False))) * last.get_volume() < 0.05


def test_relaxations_keep_the_symmetry(cuau_cell, tmp_path):
    start = cuau_cell.repeat((2, 1, 1))
    start.positions[1] += [0, 0, 0.1]
    before = check_symmetry(start, 1e-4)
    folder = execute(tmp_path / "run", start, RELAX)
    after = check_symmetry(read(folder / "CONTCAR", format="vasp"), 1e-4)
    assert after.number >= before.number > 1


def test_fixed_coordinates_stay(shifted, tmp_path):
    fixed = shifted.copy()
    fixed.set_constraint(FixAtoms([1]))
    folder = execute(tmp_path / "run", fixed, RELAX)
    contcar = (folder / "CONTCAR").read_text()
    assert "Selective dynamics" in contcar
    after = read(folder / "CONTCAR", format="vasp")
    assert np.allclose(after.positions[1], shifted.positions[1], atol=1e-12)
    assert after.constraints[0].get_indices().tolist() == [1]
    # One coordinate alone, along the second lattice vector.
    fixed.set_constraint(FixScaled(1, [False, True, False]))
    after = read(execute(tmp_path / "other", fixed, RELAX) / "CONTCAR", format="vasp")
    assert after.constraints[0].mask.tolist() == [False, True, False]
    moved = np.abs(after.get_scaled_positions() - shifted.get_scaled_positions())[1]
    assert moved[1] < 1e-12
    assert moved[2] > 1e-3


def test_exhausted_steps_are_not_called_converged(shifted, tmp_path):
    folder = execute(tmp_path / "run", shifted, RELAX | {"NSW": 2, "EDIFFG": -1e-4})
    assert "reached required accuracy" not in (folder / "OUTCAR").read_text()
    with pytest.warns(UnconvergedVASPWarning):
        assert not Vasprun(folder / "vasprun.xml", parse_potcar_file=False).converged_ionic
    assert ParsevaspOutcar(file_path=str(folder / "OUTCAR")).get_run_status()["ionic_converged"] is False


def test_an_energy_criterion_stops_a_relaxation(shifted, tmp_path):
    folder = execute(tmp_path / "run", shifted, RELAX | {"IBRION": 1, "EDIFFG": 1e-3})
    energies = [frame.get_potential_energy() for frame in read(folder / "vasprun.xml", index=":")]
    changes = np.abs(np.diff(energies))
    assert changes[-1] < 1e-3
    assert (changes[:-1] >= 1e-3).all()


@pytest.mark.parametrize(("ediffg", "steps"), [(-0.01, 1), (1e-4, 2)])
def test_a_crystal_at_rest_has_arrived(cuau_cell, tmp_path, ediffg, steps):
    """By its forces at once; by the change of its energy when there are two."""
    folder = execute(tmp_path / "run", cuau_cell, RELAX | {"EDIFFG": ediffg})
    assert len(read(folder / "vasprun.xml", index=":")) == steps
    assert "reached required accuracy" in (folder / "OUTCAR").read_text()


def test_every_step_of_a_dynamics_is_the_calculators(dynamic, crystal):
    frames = read(dynamic / "vasprun.xml", index=":")
    steps = Vasprun(dynamic / "vasprun.xml", parse_potcar_file=False).ionic_steps
    assert len(frames) == len(steps) == 4
    assert np.abs(frames[0].positions - crystal.positions).max() < POSITIONS
    for frame, step, line in zip(frames, steps, Oszicar(dynamic / "OSZICAR").ionic_steps, strict=True):
        own = by_emt(frame)
        assert np.abs(frame.get_forces() - own.get_forces()).max() < 1e-6  # positions are rounded
        assert step["e_fr_energy"] == pytest.approx(own.get_potential_energy(), abs=1e-6)
        assert step["total"] == pytest.approx(step["e_fr_energy"] + step["kinetic"], abs=2 * PRINTED)
        # 21 degrees of freedom: the centre of mass rests. OSZICAR gives whole kelvins.
        assert line["T"] == pytest.approx(2 * step["kinetic"] / (21 * units.kB), abs=0.51)
    assert steps[0]["kinetic"] == pytest.approx(21 / 2 * units.kB * 300, abs=PRINTED)
    # Total energy of 8 atoms over 8 fs; the potential energy alone changes by more than ten times that.
    assert np.ptp([step["total"] for step in steps]) < 2e-4
    assert np.ptp([step["e_fr_energy"] for step in steps]) > 2e-3
    assert ParsevaspOutcar(file_path=str(dynamic / "OUTCAR")).get_run_status()["ionic_converged"] is None
    assert len(Xdatcar(dynamic / "XDATCAR").structures) == 4


def test_dynamics_goes_on_where_it_stopped(crystal, tmp_path):
    whole = execute(tmp_path / "whole", crystal, MD | {"NSW": 6})
    first = execute(tmp_path / "first", crystal, MD | {"NSW": 3, "RANDOM_SEED": "1 0 0"})
    again = prepare(tmp_path / "whole-again", crystal, MD | {"NSW": 6, "RANDOM_SEED": "1 0 0"})
    second = prepare(tmp_path / "second", crystal, MD | {"NSW": 3})
    (second / "POSCAR").write_text((first / "CONTCAR").read_text())
    assert run(again, EMT) == run(second, EMT) == 0
    straight = read(again / "vasprun.xml", index=":")
    resumed = read(second / "vasprun.xml", index=":")
    for one, two in zip(straight[3:], resumed, strict=True):
        # Velocities of CONTCAR have nine digits: below 1e-8 Angstrom/fs times 6 fs, and the digits of vasprun.xml.
        assert np.abs(one.positions - two.positions).max() < 2e-7
        assert np.abs(one.get_forces() - two.get_forces()).max() < 5e-6
    # Without RANDOM_SEED the velocities come from the inputs: another run, another start.
    other = read(whole / "vasprun.xml", index=1)
    assert np.abs(other.positions - straight[1].positions).max() > 1e-3


def test_velocities_in_lattice_vectors_per_step_are_understood(crystal, tmp_path):
    moving = crystal.copy()
    velocities = np.random.default_rng(0).normal(scale=2e-3, size=(8, 3))  # Angstrom/fs
    lines = prepare(tmp_path / "a", moving, MD) / "POSCAR"
    text = lines.read_text().rstrip("\n")
    fractions = velocities * MD["POTIM"] @ np.linalg.inv(moving.cell.array)
    frames = []
    for name, header, block in (("a", "", velocities), ("b", "Direct", fractions)):
        folder = prepare(tmp_path / name, moving, MD)
        rows = "".join("".join(f"{x:20.14f}" for x in row) + "\n" for row in block)
        (folder / "POSCAR").write_text(f"{text}\n{header}\n{rows}")
        assert run(folder, EMT) == 0
        frames.append(read(folder / "vasprun.xml", index=1))
    assert np.abs(frames[0].positions - frames[1].positions).max() < POSITIONS
    moved = (frames[0].positions - moving.positions + 1) % moving.cell.lengths() - 1
    # One step of 2 fs; forces below 1 eV/Angstrom shift copper by less than F dt^2 / (2 m) = 3e-4 Angstrom.
    assert np.abs(moved - 2 * velocities).max() < 3e-4


@pytest.mark.parametrize(
    "thermostat",
    [
        {"MDALGO": 2, "SMASS": 0},
        {"MDALGO": 0, "SMASS": 0.5},
        {"MDALGO": 3, "LANGEVIN_GAMMA": "20 20"},
        {"SMASS": -1},
    ],
)
def test_thermostats_bring_the_temperature(crystal, tmp_path, thermostat):
    """From velocities at 100 K to 400 K; without a thermostat equipartition would take half even of the 100 K."""
    start = crystal.copy()
    rng = np.random.default_rng(1)
    momenta = rng.normal(size=(8, 3)) * np.sqrt(start.get_masses())[:, None]
    momenta -= start.get_masses()[:, None] * momenta.sum(axis=0) / start.get_masses().sum()
    start.set_momenta(momenta)
    start.set_momenta(momenta * np.sqrt(100 / (start.get_temperature() * 24 / 21)))
    folder = prepare(tmp_path / "run", crystal, MD | {"NSW": 160, "POTIM": 4, "TEBEG": 400, "EDIFF": 1} | thermostat)
    rows = "".join("".join(f"{x:18.12f}" for x in row) + "\n" for row in start.get_velocities() * units.fs)
    (folder / "POSCAR").write_text((folder / "POSCAR").read_text().rstrip("\n") + f"\n\n{rows}")
    assert run(folder, EMT) == 0
    kelvins = np.array([step["T"] for step in Oszicar(folder / "OSZICAR").ionic_steps])
    if thermostat.get("SMASS") == -1:
        # Rescaled before every step is printed.
        assert np.abs(kelvins - 400).max() <= 1
    else:
        assert kelvins[0] == pytest.approx(100, abs=1)
        # 120 frames of 21 degrees of freedom, correlated over some 20 frames: 400 sqrt(2 / 21 / 6) = 50 K.
        assert kelvins[40:].mean() == pytest.approx(400, abs=150)
    total = np.array([step["E"] for step in Oszicar(folder / "OSZICAR").ionic_steps])
    if thermostat.get("MDALGO") in (0, 2):
        # The energy of the thermostat is counted: what Nose's equations conserve.
        assert np.ptp(total) < 0.02
        assert np.ptp([step["SP"] for step in Oszicar(folder / "OSZICAR").ionic_steps]) > 0.2


def test_langevin_can_ramp_the_temperature(crystal, tmp_path):
    tags = {"NSW": 160, "POTIM": 4, "TEBEG": 100, "TEEND": 900, "MDALGO": 3, "LANGEVIN_GAMMA": "50 50", "EDIFF": 1}
    folder = execute(tmp_path / "run", crystal, MD | tags)
    kelvins = np.array([step["T"] for step in Oszicar(folder / "OSZICAR").ionic_steps])
    # In the middle of the last third of the ramp it is 767 K, of the first 233 K; spread 80 K as above.
    assert kelvins[107:].mean() - kelvins[:53].mean() > 250


def test_same_inputs_same_bytes(dynamic, crystal, tmp_path):
    again = execute(tmp_path / "run", crystal, MD)
    for name in ("vasprun.xml", "OUTCAR", "CONTCAR", "OSZICAR", "XDATCAR"):
        assert (again / name).read_bytes() == (dynamic / name).read_bytes()


def test_contcar_carries_velocities(dynamic):
    found = read(dynamic / "CONTCAR", format="vasp")
    # Nine digits of velocities below 0.01 Angstrom/fs, times 1000 u in all: the drift is zero to that.
    assert np.abs(found.get_masses() @ found.get_velocities() * units.fs).max() < 1e-5
    assert 100 < 2 * found.get_kinetic_energy() / (21 * units.kB) < 400
