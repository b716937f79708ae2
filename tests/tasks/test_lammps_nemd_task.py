"""The task lammps-nemd without LAMMPS: what it writes, to the letter, what it refuses, and what it makes of failures.

That LAMMPS understands it, and that both make the same runs, is tested in tests/native.
"""

import numpy as np
import pytest
from pair_argon import argon, pair_argon

from aiida_iontherm.physics.dynamics.settings import HeatExchangeSettings
from aiida_iontherm.tasks.contract import EXIT_INPUT, EXIT_INTERRUPTED, EXIT_PHYSICS
from aiida_iontherm.tasks.lammps_files.heat_exchange import profile, reservoirs
from aiida_iontherm.tasks.lammps_files.series import ProfileFile

NEMD = {
    "species": ["Ar"],
    "supercell": [12, 2, 2],
    "temperature": 30.0,
    "timestep_fs": 10.0,
    "equilibration_ps": 1.0,
    "production_ps": 80.0,
    "profile_interval_fs": 50.0,
    "power_ev_per_ps": 0.02,
    "seed": 3,
}


def given(folder, **changes):
    pair_argon().write(folder.path / "potential.mtp")
    return folder.give(NEMD | changes, structure=argon())


PRODUCTION = """\
# production, nve
fix move free nve
region hot plane 5.1500000000000004 0 0 -1 0 0 units box
region above plane 30.900000000000002 0 0 1 0 0 units box
region below plane 36.050000000000004 0 0 -1 0 0 units box
region cold intersect 2 above below
fix heat free ehex 1 0.02 region hot
fix cool free ehex 1 -0.02 region cold
fix runaway all halt 20 v_temperature > 120 error hard
fix energies all ave/time 20 1 20 c_thermo_pe c_virial[1] c_virial[2] c_virial[3] file production.energies.txt format " %.17g"
dump state all custom 20 production.state.bin id xu yu zu vx vy vz
compute ke all ke/atom
compute pe all pe/atom
compute stress all centroid/stress/atom NULL virial
variable along atom (0.016181229773462782)*x
variable slab atom 1+floor((v_along-floor(v_along))*12)%12
compute slabs free chunk/atom v_slab limit 12 exact
variable one atom 1
variable twice_kinetic atom 2*c_ke
variable virial atom -((c_stress[1]*vx+c_stress[4]*vy+c_stress[5]*vz))
variable convective atom (c_ke+c_pe)*(vx)
fix profile free ave/chunk 5 4 20 slabs v_one v_twice_kinetic v_virial v_convective norm none file production.profile.txt format " %.17g"
run 8000 upto post no every 20 &
"""  # noqa: E501 - lines of another program


def test_script(folder):
    assert given(folder).run("lammps-nemd") == EXIT_INTERRUPTED
    assert folder.output["message"].startswith("LAMMPS is to run now (lmp -in in.lammps -log log.lammps -nocite)")
    script = (folder.path / "in.lammps").read_text()
    assert script.startswith("# NEMD 30 K, 192 atoms: from block 0 of 405\n")
    equilibration, production = script.split("# production")
    assert ("# production" + production).startswith(PRODUCTION)
    # Heat flows in the production alone, whose energy is that of the equilibration.
    assert "ehex" not in equilibration and "velocity all scale" in equilibration
    (line,) = folder.progress
    assert line["figures"]["profile_mb"] == pytest.approx(400 * 12 * 4 * 8 / 1e6)
    assert line["figures"]["scratch_mb"] > 8 * 192 * 7 * 405 / 1e6


def numbers(line):
    return [float(word) for word in line.split()[3:9]]


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_slabs_of_a_skew_cell(axis):
    """Planes go through the points they should, and look across the other two vectors."""
    box = np.array([[20.0, 0, 0], [3.0, 18.0, 0], [-2.0, 5.0, 22.0]])
    exchange = HeatExchangeSettings(axis=axis, slabs=12, power_ev_per_ps=0.5)
    lines = reservoirs(exchange, box)
    others = [box[k] for k in range(3) if k != axis]
    for line, where, side in zip(lines[:3], (1 / 12, 6 / 12, 7 / 12), (-1, 1, -1), strict=True):
        values = np.array(numbers(line))
        point, normal = values[:3], values[3:]
        assert np.linalg.norm(normal) == pytest.approx(1.0)
        np.testing.assert_allclose([normal @ other for other in others], 0.0, atol=1e-12)
        assert np.sign(normal @ box[axis]) == side
        assert np.linalg.solve(box.T, point)[axis] == pytest.approx(where)
    assert lines[-2:] == ["fix heat free ehex 1 0.5 region hot", "fix cool free ehex 1 -0.5 region cold"]


def value(formula, names):
    return eval(formula, dict(names))  # noqa: S307 - a formula of our own


def test_profile_of_a_skew_cell():
    """Formulas, evaluated here as LAMMPS does: the slab an atom is in, and the parts of its current across."""
    box = np.array([[20.0, 0, 0], [3.0, 18.0, 0], [-2.0, 5.0, 22.0]])
    lines = profile(HeatExchangeSettings(axis=1, slabs=12, power_ev_per_ps=0.5), box, 40, "FILE")
    assert lines[-1].startswith("fix profile free ave/chunk 10 4 40 slabs ")
    formulas = {line.split()[1]: line.split()[3] for line in lines if line.startswith("variable")}
    rng = np.random.default_rng(1)
    for _ in range(20):
        position, velocity, stress = rng.normal(scale=30.0, size=3), rng.normal(size=3), rng.normal(size=(3, 3))
        names = dict(zip(["x", "y", "z", "vx", "vy", "vz"], [*position, *velocity], strict=True))
        # In the order that `compute centroid/stress/atom` documents.
        order = [(0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2), (1, 0), (2, 0), (2, 1)]
        names |= {"c_stress": [None, *(stress[place] for place in order)], "c_ke": 0.7, "c_pe": -3.0}
        names |= {"floor": np.floor, "v_along": value(formulas["along"], names)}
        assert value(formulas["slab"], names) == 1 + int(np.linalg.solve(box.T, position)[1] % 1.0 * 12)
        normal = np.cross(box[2], box[0])
        normal /= np.linalg.norm(normal)
        assert value(formulas["virial"], names) == pytest.approx(-normal @ stress @ velocity)
        assert value(formulas["convective"], names) == pytest.approx(-2.3 * normal @ velocity)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"lammps": {"pair": "mlip-3"}}, "no centroid virials"),
        ({"lammps": {"plugin": "/no/where/iontherm_mtp.so"}}, "no /no/where/iontherm_mtp.so on this computer"),
        ({"slabs": 13}, "even number"),
        ({"power_ev_per_ps": 1.0}, "would take the kinetic energy of the cold slab"),
        ({"species": ["Kr"]}, "Ar"),
    ],
)
def test_what_is_refused_before_lammps_runs(changes, words, folder):
    assert given(folder, **changes).run("lammps-nemd") == EXIT_INPUT
    assert words in folder.output["message"]
    assert not (folder.path / "in.lammps").exists()


@pytest.mark.parametrize(
    ("log", "code", "words"),
    [
        ("ERROR: Fix ehex kinetic energy went negative (src/RIGID/fix_ehex.cpp:250)", EXIT_PHYSICS, "less heat"),
        ("ERROR: Fix ehex error mass of region is close to zero", EXIT_PHYSICS, "thicker slabs"),
        (
            "ERROR: Unrecognized fix style 'ehex' is part of the RIGID package which is not enabled in this LAMMPS "
            "binary.",
            EXIT_INPUT,
            "build it with that package",
        ),
    ],
)
def test_errors_in_the_log(log, code, words, folder):
    assert given(folder).run("lammps-nemd") == EXIT_INTERRUPTED
    (folder.path / "log.lammps").write_text(f"LAMMPS (22 Jul 2025)\n{log}\n")
    assert folder.run("lammps-nemd") == code
    assert words in folder.output["message"] and "iontherm_mtp" not in folder.output["message"]


TABLES = """\
# Chunk-averaged data for fix profile and group free
# Timestep Number-of-chunks Total-count
# Chunk Ncount v_one v_two
0 2 16
  1 8 8 0.5
  2 8 8 -0.25
20 2 16
  1 8.5 8.5 1.5
  2 7.5 7.5 2.5
40 2 16
  1 8 8 3.5
  2 8 8"""


def test_profile_file(tmp_path):
    path = tmp_path / "production.profile.txt"
    tables = ProfileFile(path, 2, 2)
    assert tables.between(0, 100).shape == (0, 2, 2)
    path.write_text(TABLES)
    # The table of the step it goes on from is another time's; the last one is being written.
    np.testing.assert_array_equal(tables.between(0, 100), [[[8.5, 1.5], [7.5, 2.5]]])
    path.write_text(TABLES + " 4.5\n60 2 16\n")
    assert len(tables.between(20, 20)) == 0
    np.testing.assert_array_equal(tables.between(20, 100), [[[8.0, 3.5], [8.0, 4.5]]])
    with pytest.raises(ValueError, match="the table of step 0 has 2 rows for 3 slabs"):
        ProfileFile(path, 3, 2).between(0, 100)
    with pytest.raises(ValueError, match="is no row of a series"):
        ProfileFile(path, 2, 3).between(0, 100)
