"""The task lammps-md without LAMMPS: what it writes, to the letter, what it refuses, and what it makes of failures.

That LAMMPS understands it, and that both make the same runs, is tested in tests/native.
"""

import re
import struct

import ase.io
import numpy as np
import pytest
from ase import Atoms
from pydantic import ValidationError
from soft_crystal import SPECIES, cubic_crystal, skew_crystal, soft_potential

from aiida_iontherm.tasks.contract import EXIT_CRASH, EXIT_INPUT, EXIT_INTERRUPTED, EXIT_PHYSICS
from aiida_iontherm.tasks.lammps_files.axes import LammpsAxes
from aiida_iontherm.tasks.lammps_files.data import ANGSTROM_PER_PS, structure_data
from aiida_iontherm.tasks.lammps_files.dumps import DumpFile
from aiida_iontherm.tasks.lammps_files.layout import Place, last_restart, restart_name
from aiida_iontherm.tasks.lammps_files.script import ScriptInput, input_script
from aiida_iontherm.tasks.lammps_files.section import LammpsSection
from aiida_iontherm.tasks.lammps_files.series import SeriesFile
from aiida_iontherm.tasks.lammps_md import Input
from aiida_iontherm.tasks.md_plan import md_settings

MD = {
    "potential": "potential.mtp",
    "species": SPECIES,
    "mobile": "Cu",
    "supercell": (3, 3, 3),
    "temperature": 300.0,
    "timestep_fs": 2.0,
    "equilibration_ps": 1.6,
    "production_ps": 4.0,
    "position_interval_fs": 40.0,
    "snapshots": 0,
    "seed": 3,
}


def given(folder, **changes):
    folder.give(MD | changes, structure=cubic_crystal())
    soft_potential().write(folder.path / "potential.mtp")


def script(place=0, energy_sum=0.0, seconds=None, frozen=(), **changes):
    task_input = Input(**(MD | changes))
    settings = md_settings(task_input)
    return input_script(
        ScriptInput(
            settings=settings,
            section=task_input.lammps,
            species=tuple(SPECIES),
            present=("Cu", "I"),
            frozen=frozen,
            box=np.diag([17.1, 17.1, 17.1]),
            begin=Place.at(place, settings),
            energy_sum=energy_sum,
            seconds=seconds,
            doing="MD 300 K",
        )
    )


FIRST = '''\
# MD 300 K: from block 0 of 14
echo none
variable begin timer
variable before timer
variable kept string none
variable ranks equal extract_setting(world_size)
if "${ranks} != 2" then "print 'ERROR: this LAMMPS has ${ranks} MPI processes, not 2: take the mpiexec of its own MPI'" "quit 1"
units metal
atom_style atomic
boundary p p p
newton on
plugin load /opt/iontherm_mtp.so
read_data structure.data
pair_style iontherm/mtp lammps.mtp
pair_coeff * * Cs Cu I
neighbor 1.0 bin
neigh_modify every 1 delay 0 check yes
comm_modify cutoff 8.0
timestep 0.002
thermo 200
group free union all
compute temperature free temp
variable temperature equal c_temperature
compute virial all pressure NULL virial

# equilibration, with Langevin's thermostat
fix move free nve
fix bath free langevin 300 300 0.2 SEED1 zero yes
fix runaway all halt 200 v_temperature > 1200 error hard
fix energies all ave/time 200 1 200 c_thermo_pe c_virial[1] c_virial[2] c_virial[3] file equilibration.energies.txt format " %.17g"
dump state all custom 200 equilibration.state.bin id xu yu zu vx vy vz
variable energies string 0
run 800 upto post no every 200 &
  """write_restart partial.restart""" &
  """shell mv partial.restart equilibration.$(step).restart""" &
  """shell rm -f ${kept}""" &
  """variable kept string equilibration.$(step).restart""" &
  """variable energies string $(v_energies+(step>400)*etotal:%.17g)""" &
  """variable now timer""" &
  """print '{"what": "MD 300 K", "done": $(0+step/200:%.0f), "total": 14, "seconds": $(v_now-v_begin:%.2f), "figures": {"temperature": $(v_temperature:%.6g)}}' append progress.jsonl""" &
  """print $(v_now-v_begin+1.5*(v_now-v_before)) file clock.dat screen no""" &
  """variable clock file clock.dat""" &
  """if '${clock} > 3600' then quit""" &
  """variable clock delete""" &
  """variable before timer"""
unfix move
unfix bath
unfix runaway
unfix energies
undump state

# the energy of the moment becomes its mean in equilibrium
variable wanted equal v_energies/2
variable factor equal (v_wanted-pe)/ke
variable factor equal $(ternary(v_factor<0.25,0.25,ternary(v_factor>4,4,v_factor)):%.17g)
velocity all scale $(temp*v_factor:%.17g)
reset_timestep 0

# production, nve
fix move free nve
fix runaway all halt 200 v_temperature > 1200 error hard
fix energies all ave/time 200 1 200 c_thermo_pe c_virial[1] c_virial[2] c_virial[3] file production.energies.txt format " %.17g"
dump state all custom 200 production.state.bin id xu yu zu vx vy vz
dump positions all custom 20 production.positions.bin id xu yu zu
dump velocities all custom 4 production.velocities.bin id vx vy vz
compute ke all ke/atom
compute pe all pe/atom
compute stress all centroid/stress/atom NULL virial
group Cu type 2
compute flux_Cu Cu heat/flux ke pe stress
compute current_Cu Cu reduce sum vx vy vz
group I type 3
compute flux_I I heat/flux ke pe stress
compute current_I I reduce sum vx vy vz
fix currents all ave/time 4 1 4 c_flux_Cu[*] c_current_Cu[*] c_flux_I[*] c_current_I[*] file production.currents.txt format " %.17g"
run 2000 upto post no every 200 &
  """write_restart partial.restart""" &
  """shell mv partial.restart production.$(step).restart""" &
  """shell rm -f ${kept}""" &
  """variable kept string production.$(step).restart""" &
  """variable now timer""" &
  """print '{"what": "MD 300 K", "done": $(4+step/200:%.0f), "total": 14, "seconds": $(v_now-v_begin:%.2f), "figures": {"temperature": $(v_temperature:%.6g)}}' append progress.jsonl""" &
  """print $(v_now-v_begin+1.5*(v_now-v_before)) file clock.dat screen no""" &
  """variable clock file clock.dat""" &
  """if '${clock} > 3600' then quit""" &
  """variable clock delete""" &
  """variable before timer"""
'''  # noqa: E501 - lines of another program


def seed_in(text):
    (line,) = (line for line in text.splitlines() if line.startswith("fix bath"))
    return line.split()[7]


def test_script_of_a_run_from_the_beginning():
    section = {"plugin": "/opt/iontherm_mtp.so", "ranks": 2, "extra": ["comm_modify cutoff 8.0"]}
    found = script(
        current_interval_fs=8.0, vdos=True, vdos_resolution_thz=1.0, lammps=section, seconds=3600.0, production_ps=4.0
    )
    assert found == FIRST.replace("SEED1", seed_in(found))
    assert 0 < int(seed_in(found)) <= 900_000_000


def test_script_that_goes_on_with_the_equilibration():
    text = script(place=3, energy_sum=-123.25)
    lines = text.splitlines()
    assert "read_restart equilibration.600.restart" in lines
    assert not any(line.startswith(("units", "read_data")) for line in lines)
    # Two energies are wanted, one of which is known.
    assert "variable energies string -123.25" in lines
    assert "variable kept string equilibration.600.restart" in lines
    # LAMMPS does not keep the place in its random numbers: another sequence, not the same once more.
    assert seed_in(text) != seed_in(script())


def test_script_that_begins_the_production():
    lines = script(place=4, energy_sum=-250.5).splitlines()
    assert "read_restart equilibration.800.restart" in lines
    # What is read has no energy before a step of none, and fixes must be defined behind it.
    assert (
        lines.index("run 0 post no") < lines.index("variable wanted equal -250.5/2") < lines.index("reset_timestep 0")
    )
    assert lines.index("reset_timestep 0") < lines.index("fix move free nve")
    assert "variable kept string equilibration.800.restart" in lines


def test_script_that_goes_on_with_the_production():
    lines = script(place=9, energy_sum=-250.5).splitlines()
    assert "read_restart production.1000.restart" in lines
    assert not any(line.startswith(("velocity", "reset_timestep", "run 0")) for line in lines)
    assert "variable kept string production.1000.restart" in lines
    assert "run 2000 upto post no every 200 &" in lines


NPT = "fixedpoint 0 0 0"


@pytest.mark.parametrize(
    ("changes", "production"),
    [
        ({"ensemble": "nvt"}, ["fix move free nve", "fix bath free langevin 300 300 0.2 SEED zero yes"]),
        (
            {"ensemble": "nvt", "thermostat": "bussi"},
            ["fix move free nve", "fix bath free temp/csvr 300 300 0.1 SEED", "fix_modify bath temp temperature"],
        ),
        (
            {"ensemble": "nvt", "thermostat": "nose-hoover"},
            ["fix move free nvt temp 300 300 0.1 tchain 3", "fix_modify move temp temperature"],
        ),
        (
            {"ensemble": "npt", "pressure_gpa": 2.0},
            [f"fix move free nph iso 20000 20000 1 {NPT}", "fix bath free langevin 300 300 0.2 SEED zero yes"],
        ),
        (
            {"ensemble": "npt", "barostat": "orthorhombic", "thermostat": "nose-hoover"},
            [f"fix move free npt temp 300 300 0.1 tchain 3 aniso 0 0 1 {NPT}", "fix_modify move temp temperature"],
        ),
        (
            {"ensemble": "npt", "barostat": "triclinic", "thermostat": "bussi", "pressure_relaxation_ps": 0.5},
            [
                f"fix move free nph tri 0 0 0.5 {NPT} flip no",
                "fix bath free temp/csvr 300 300 0.1 SEED",
                "fix_modify bath temp temperature",
            ],
        ),
    ],
)
def test_ensembles(changes, production):
    _, text = script(**changes).split("# production, ")
    name, *lines = text.splitlines()
    assert name == changes["ensemble"]
    for line, wanted in zip(lines, production, strict=False):
        assert re.fullmatch(re.escape(wanted).replace("SEED", "[0-9]+"), line)
    assert lines[len(production)].startswith("fix runaway ")
    # An npt run is one from the beginning.
    first = next(line for line in script(**changes).splitlines() if line.startswith("fix move"))
    assert first.split()[3] == ("nph" if name == "npt" else "nve")


def test_held_atoms():
    lines = script(frozen=(0, 1, 2, 5, 7, 8), ensemble="nvt").splitlines()
    assert "group frozen id 1:3 6 8:9" in lines
    assert "group free subtract all frozen" in lines
    # Nothing is taken off for the centre of mass, and the noise may push it.
    assert "compute_modify temperature extra/dof 0" in lines
    assert all(line.endswith("zero no") for line in lines if " langevin " in line)


@pytest.mark.parametrize(
    ("section", "style", "pair"),
    [
        ({}, "pair_style iontherm/mtp lammps.mtp", "pair_coeff * * Cs Cu I"),
        ({"pair": "mlip-2"}, "pair_style mlip mlip.ini", "pair_coeff * *"),
        (
            {"pair": "mlip-3"},
            "pair_style mlip load_from=lammps.mtp extrapolation_control=false",
            "pair_coeff * *",
        ),
    ],
)
def test_pair_styles(section, style, pair):
    lines = script(lammps=section).splitlines()
    assert lines[lines.index(style) + 1] == pair


@pytest.mark.parametrize(
    ("section", "command"),
    [
        ({}, ""),
        ({"accelerator": "kokkos", "gpus": 4}, " -k on g 4 -sf kk -pk kokkos newton on neigh half"),
        ({"accelerator": "gpu"}, " -sf gpu -pk gpu 1 newton on"),
        ({"arguments": ["-sf", "omp", "-pk", "omp", "4"]}, " -sf omp -pk omp 4"),
        (
            {"accelerator": "kokkos", "arguments": ["-pk", "kokkos", "gpu/aware", "off"]},
            " -k on g 1 -sf kk -pk kokkos newton on neigh half -pk kokkos gpu/aware off",
        ),
    ],
)
def test_command_line(section, command):
    found = " ".join(LammpsSection.model_validate(section).command_line())
    assert found == f"-in in.lammps -log log.lammps -nocite{command}"


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ({"plugin": "iontherm_mtp.so"}, "with a slash"),
        ({"plugin": "/opt/my plugins/iontherm_mtp.so"}, "without blanks"),
        ({"extra": ["fix push all addforce 1 0 0"]}, "none of the commands"),
        ({"extra": ["neighbor 2.0 bin\nshell rm x"]}, "none of the commands"),
        ({"arguments": ["-log", "elsewhere"]}, "'-log' is no word of"),
        ({"arguments": ["omp"]}, "begin with"),
        ({"arguments": ["-sf", "omp; rm"]}, "is no word of"),
        ({"accelerator": "kokkos", "arguments": ["-sf", "omp"]}, "leave out one"),
        ({"pair": "snap"}, "'iontherm', 'mlip-2' or 'mlip-3'"),
        ({"kokkos": True}, "Extra inputs"),
    ],
)
def test_sections_that_are_refused(section, words):
    with pytest.raises(ValidationError, match=re.escape(words)):
        LammpsSection.model_validate(section)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"engine": "emt"}, "engine: "),
        ({"compiled": True}, "compiled: "),
        ({"replicas": 2}, "replicas: "),
        ({"grade_interval": 10}, "grade_interval: "),
        ({"framework": "rigid-polyanions"}, "framework: "),
        (
            {"lammps": {"pair": "mlip-2"}, "current_interval_fs": 8.0},
            "no centroid virials.*take lammps.pair = iontherm",
        ),
        ({"lammps": {"plugin": "/no/where/iontherm_mtp.so"}}, "no /no/where/iontherm_mtp.so on this computer"),
        ({"potential": None}, "give one"),
        ({"species": ["Cu", "I"]}, "species"),
        ({"supercell": [1, 1, 1], "potential": "far.mtp"}, "would see its own image"),
        ({"ensemble": "npt", "framework": "frozen"}, "frozen atoms have no place"),
    ],
)
def test_what_is_refused_before_lammps_runs(changes, words, folder):
    given(folder, **changes)
    soft_potential(cutoff=8.0).write(folder.path / "far.mtp")
    assert folder.run("lammps-md") == EXIT_INPUT
    assert re.search(words, folder.output["message"]), folder.output["message"]
    assert not (folder.path / "in.lammps").exists()


def test_axes_of_a_turned_cell_that_is_to_keep_its_angles(folder):
    given(folder, ensemble="npt", barostat="orthorhombic", supercell=[3, 6, 6])
    ase.io.write(folder.path / "structure.extxyz", skew_crystal(), format="extxyz")
    assert folder.run("lammps-md") == EXIT_INPUT
    assert "barostat = triclinic" in folder.output["message"]


def test_files_for_lammps(folder):
    given(folder)
    assert folder.run("lammps-md") == EXIT_INTERRUPTED
    assert folder.output["message"].startswith("LAMMPS is to run now (lmp -in in.lammps -log log.lammps -nocite)")
    names = {path.name for path in folder.path.iterdir()}
    assert {"in.lammps", "structure.data", "lammps.mtp", "checkpoint.npz"} <= names
    (line,) = folder.progress
    assert line["done"] == 0 and line["total"] == 14
    # A script that was written and did not run is an error, whatever mpiexec said about it.
    (folder.path / "lammps.out").write_text("lmp: error while loading shared libraries: libmpi.so.12\n\n")
    assert folder.run("lammps-md") == EXIT_CRASH
    assert "did not begin" in folder.output["message"] and "libmpi.so.12" in folder.output["message"]


@pytest.mark.parametrize(
    ("log", "code", "words"),
    [
        (
            "ERROR: Lost atoms: original 108 current 33\nFor more see https://x (src/thermo.cpp:526)",
            EXIT_PHYSICS,
            "108",
        ),
        ("ERROR: Fix halt condition for fix-id runaway met on step 40 (src/fix_halt.cpp:1)", EXIT_PHYSICS, "step 40;"),
        ("ERROR: Unrecognized pair style 'iontherm/mtp'\nLast input line: pair_style", EXIT_INPUT, "Last input line"),
        ("ERROR: Unrecognized pair style 'mlip'", EXIT_INPUT, "lammps.plugin"),
        ("ERROR: Cannot open dump file", EXIT_CRASH, "Cannot open dump file"),
    ],
)
def test_errors_in_the_log(log, code, words, folder):
    given(folder)
    assert folder.run("lammps-md") == EXIT_INTERRUPTED
    (folder.path / "log.lammps").write_text(f"LAMMPS (22 Jul 2025)\n{log}\n")
    assert folder.run("lammps-md") == code
    assert words in folder.output["message"]
    assert ".cpp" not in folder.output["message"]


def test_potential_of_mlip_goes_as_it_is(folder):
    given(folder, lammps={"pair": "mlip-2"})
    assert folder.run("lammps-md") == EXIT_INTERRUPTED
    assert (folder.path / "lammps.mtp").read_bytes() == (folder.path / "potential.mtp").read_bytes()
    assert (folder.path / "mlip.ini").read_text() == "mtp-filename lammps.mtp\nselect FALSE\n"


DATA = """\
# CuI

2 atoms
3 atom types

0 4 xlo xhi
0 5 ylo yhi
0 6 zlo zhi

Masses

1 132.90545196 # Cs
2 63.546000000000006 # Cu
3 126.90447000000001 # I

Atoms # atomic

1 3 0.125 0 0
2 2 1 -2 3.5

Velocities

1 0.5 0 0
2 0 -1.25 0
"""


def test_data_file():
    atoms = Atoms("ICu", positions=[[0.125, 0, 0], [1, -2, 3.5]], cell=[4, 5, 6], pbc=True)
    atoms.set_masses([126.90447, 63.546])
    atoms.set_velocities(np.array([[0.5, 0, 0], [0, -1.25, 0]]) / ANGSTROM_PER_PS)
    found = structure_data(atoms, SPECIES, LammpsAxes.of(atoms.cell.array))
    assert rounded(found) == rounded(DATA)


def rounded(text):
    """Numbers to 12 digits: a velocity was divided and multiplied by the unit of time."""
    return [
        [f"{float(w):.12g}" if re.fullmatch(r"-?[0-9.]+(e-?[0-9]+)?", w) else w for w in line.split()]
        for line in text.splitlines()
    ]


@pytest.mark.parametrize("hand", [1, -1])
def test_axes(hand):
    cell = skew_crystal().cell.array * hand
    axes = LammpsAxes.of(cell)
    assert axes.turned
    box = axes.box(cell)
    assert not np.any(np.triu(box, 1)) and np.diag(box).min() > 0
    # Rounding of a few products of lengths of some Angstrom.
    np.testing.assert_allclose(box @ box.T, cell @ cell.T, atol=1e-12)
    np.testing.assert_allclose(axes.back(box), cell, atol=1e-13)
    vectors = np.random.default_rng(1).normal(size=(4, 5, 3))
    np.testing.assert_allclose(axes.back(axes.into(vectors)), vectors, atol=1e-14)


def test_axes_that_fit():
    cell = np.array([[4.0, 0, 0], [1, 5, 0], [-1, 2, 6]])
    axes = LammpsAxes.of(cell)
    assert not axes.turned
    np.testing.assert_array_equal(axes.box(cell), cell)
    with pytest.raises(ValueError, match="three vectors"):
        LammpsAxes.of(np.zeros((3, 3)))


def dump_frame(step, parts, columns="id xu yu zu", tilt=(0.0, 0.0, 0.0), triclinic=1):
    """A frame as ``dump custom FILE.bin`` of two processes has it."""
    xy, xz, yz = tilt
    low, high = min(0, xy, xz, xy + xz), 4 + max(0, xy, xz, xy + xz)
    bounds = (low, high, min(0, yz), 5 + max(0, yz), 0.0, 6.0)
    rows = [np.array(part, dtype="<f8") for part in parts]
    head = struct.pack(
        "<q10siiqqi6i6d", -10, b"DUMPCUSTOM", 1, 2, step, sum(map(len, rows)), triclinic, *[0] * 6, *bounds
    )
    if triclinic:
        head += struct.pack("<3d", *tilt)
    names = columns.encode()
    head += struct.pack("<ii?i", len(names.split()), 0, False, len(names)) + names + struct.pack("<i", len(rows))
    return head + b"".join(struct.pack("<i", part.size) + part.tobytes() for part in rows)


def test_dumps(tmp_path):
    path = tmp_path / "production.positions.bin"
    one, two, three = [2, 0.5, 0.25, 0.125], [1, 1.0, 2.0, 3.0], [3, -1.0, -2.0, -3.0]
    frames = [dump_frame(step, [[one], [two, three]], tilt=(1.0, -0.5, 2.0)) for step in (0, 20, 40, 60)]
    path.write_bytes(b"".join(frames[:3]) + frames[3][:-5])
    dump = DumpFile(path, 3, "id xu yu zu")
    # LAMMPS begins with the frame it goes on from.
    (frame,) = dump.between(0, 20)
    assert frame.step == 20
    np.testing.assert_array_equal(frame.rows, [two[1:], one[1:], three[1:]])
    np.testing.assert_array_equal(frame.cell, [[4, 0, 0], [1, 5, 0], [-0.5, 2, 6]])
    # What is being written has no end yet.
    assert [f.step for f in dump.between(20, 40)] == [40]
    assert dump.between(40, 60) == []
    path.write_bytes(b"".join(frames))
    assert [f.step for f in dump.between(40, 60)] == [60]
    assert DumpFile(tmp_path / "none.bin", 3, "id xu yu zu").between(0, 100) == []


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"ITEM: TIMESTEP\n0\n", "not a binary dump"),
        (dump_frame(20, [[[1, 0.0, 0.0, 0.0]]]), "is of another run"),
        (dump_frame(20, [[[1, 0.0, 0, 0], [2, 0, 0, 0], [2, 0, 0, 0]]]), "misses atoms at step 20"),
        (dump_frame(20, [[[1, 0.0, 0, 0]] * 3], columns="id vx vy vz"), "is of another run"),
    ],
)
def test_dumps_that_are_refused(content, words, tmp_path):
    path = tmp_path / "production.positions.bin"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=words):
        DumpFile(path, 3, "id xu yu zu").between(0, 100)


def test_series(tmp_path):
    path = tmp_path / "production.energies.txt"
    path.write_text("# Time-averaged data\n# TimeStep c_pe\n0  1.0 2.0\n200  3.0 -4e-5\n400  5.0 6.0\n600  7.")
    series = SeriesFile(path, 2)
    np.testing.assert_array_equal(series.between(0, 200), [[3.0, -4e-5]])
    np.testing.assert_array_equal(series.between(200, 600), [[5.0, 6.0]])
    with path.open("a") as stream:
        stream.write("5 8.0\n")
    np.testing.assert_array_equal(series.between(400, 600), [[7.5, 8.0]])
    with path.open("a") as stream:
        stream.write("800 1.0\n")
    with pytest.raises(ValueError, match="is no row of a series"):
        series.between(600, 800)
    assert SeriesFile(tmp_path / "none.txt", 2).between(0, 100).shape == (0, 2)


def test_how_far_a_folder_reaches(tmp_path):
    settings = md_settings(Input(**MD))
    assert (settings.block_steps, settings.equilibration_blocks) == (200, 4)
    assert last_restart(tmp_path, settings) == 0
    for block in (1, 4, 5, 14):
        (tmp_path / restart_name(block, settings)).touch()
        assert last_restart(tmp_path, settings) == block
    # Left over from a run with other blocks, and one that is being written.
    for name in ("production.2100.restart", "partial.restart"):
        (tmp_path / name).touch()
    assert last_restart(tmp_path, settings) == 14
    assert Place.at(3, settings) == Place(3, "equilibration", 600)
    assert Place.at(4, settings) == Place(4, "production", 0)
    assert restart_name(4, settings) == "equilibration.800.restart"
    assert restart_name(6, settings) == "production.400.restart"
