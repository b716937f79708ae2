"""The task lammps-md with LAMMPS itself: the same runs as those of the compiled loop, stopped and continued or not."""

import json
import re
import shutil

import ase.io
import numpy as np
import pytest
from ase import Atoms, units
from soft_crystal import SPECIES, cubic_crystal, skew_crystal, soft_potential

from aiida_iontherm.tasks.contract import EXIT_CRASH, EXIT_INPUT, EXIT_INTERRUPTED, EXIT_OK, EXIT_PHYSICS

MD = {
    "potential": "potential.mtp",
    "species": SPECIES,
    "mobile": "Cu",
    "supercell": [3, 3, 3],
    "temperature": 300.0,
    "timestep_fs": 2.0,
    "equilibration_ps": 0.0,
    "production_ps": 0.8,
    "position_interval_fs": 8.0,
    "snapshots": 0,
    "seed": 3,
}
EVERYTHING = {
    "current_interval_fs": 8.0,
    "snapshots": 4,
    "vdos": True,
    "vdos_resolution_thz": 2.0,
    "store_velocities": True,
    "density": True,
}
POTENTIAL = soft_potential()


@pytest.fixture
def work(make_work):
    def make(name, atoms=None, **changes):
        atoms = cubic_crystal() if atoms is None else atoms
        return make_work(name, "lammps-md", atoms, POTENTIAL, MD | changes)

    return make


@pytest.fixture
def go_on(work):
    """A folder that goes on with the run of another, linked as the work chain does it."""

    def make(name, before, **changes):
        following = work(name, **changes)
        for link, target in (("checkpoint.npz", before.path / "checkpoint.npz"), ("before", before.path)):
            (following.path / link).symlink_to(target)
        return following

    return make


# Both take the chain of thermostats along in steps of their own: errors of second order in the timestep.
SAME_CHAIN = 2e-3

# LAMMPS has constants of an older CODATA: a mass differs by 2e-8, a temperature by 1.5e-6. Within a picosecond
# neighbouring trajectories of this crystal part by less than a thousand times their first difference.
SAME_RUN = 1e-5


@pytest.mark.parametrize(
    ("atoms", "ranks", "changes"),
    [
        (cubic_crystal(), 2, EVERYTHING),
        (skew_crystal(), 1, EVERYTHING | {"supercell": [3, 6, 6]}),
        (cubic_crystal(), 1, EVERYTHING | {"framework": "frozen"}),
        # The only thermostat without random numbers.
        (cubic_crystal(), 1, {"ensemble": "nvt", "thermostat": "nose-hoover"}),
        (cubic_crystal(), 1, {"lammps": {"arguments": ["-sf", "omp", "-pk", "omp", "1"], "ranks": 1}}),
    ],
    ids=["cubic", "skew", "frozen", "nose-hoover", "omp"],
)
def test_runs_of_both_are_the_same(atoms, ranks, changes, work):
    ours = work("ours", atoms, **{k: v for k, v in changes.items() if k != "lammps"})
    ours.give({k: v for k, v in json.loads((ours.path / "input.json").read_text()).items() if k != "lammps"})
    theirs = work("theirs", atoms, **changes)
    assert ours.task("md") == EXIT_OK
    assert theirs.run(ranks) == EXIT_OK, theirs.output
    names = {"trajectory.npz", "currents.npz", "velocities.npz"} & {p.name for p in ours.path.iterdir()}
    assert len(names) == (3 if "vdos" in changes else 1)
    for name in names:
        expected, found = ours.arrays(name), theirs.arrays(name)
        assert expected.keys() == found.keys()
        for key, values in expected.items():
            assert found[key].dtype == values.dtype, key
            tolerance = SAME_CHAIN if "thermostat" in changes else SAME_RUN
            tolerance *= np.abs(values).max(initial=0.0)
            np.testing.assert_allclose(found[key], values, atol=tolerance, rtol=0, err_msg=key)
    one, other = ours.output["results"], theirs.output["results"]
    assert other.pop("program").startswith("LAMMPS ")
    assert one.keys() == other.keys()
    assert [one[key] for key in ("atoms", "steps", "frames", "warnings")] == [
        other[key] for key in ("atoms", "steps", "frames", "warnings")
    ]
    # What is of use only to the task is gone.
    assert not list(theirs.path.glob("*.bin")) and not list(theirs.path.glob("*.txt"))


@pytest.mark.parametrize("atoms", [cubic_crystal(), skew_crystal()], ids=["cubic", "skew"])
def test_numbers_of_one_moment(atoms, work):
    run = work("run", atoms, supercell=[3, 3, 3] if len(atoms) == 4 else [3, 6, 6], **EVERYTHING)
    assert run.run() == EXIT_OK
    arrays, currents = run.arrays("trajectory.npz"), run.arrays("currents.npz")

    def evaluate(positions):
        return POTENTIAL.evaluate(Atoms(arrays["numbers"], positions, cell=arrays["cell"], pbc=True))

    for positions, forces in zip(arrays["snapshots"], arrays["snapshot_forces"], strict=True):
        # The same terms in another order; the file of the potential has all digits.
        np.testing.assert_allclose(forces, evaluate(positions).forces, atol=1e-10)
    last = evaluate(arrays["last_positions"])
    velocities = arrays["last_velocities"]
    atoms = Atoms(arrays["numbers"], velocities=velocities / (1000 * units.fs))
    np.testing.assert_allclose(arrays["thermo"][-1, 2], last.energies.sum(), rtol=1e-10)
    virial = np.einsum("jab,jb->ja", last.virials, velocities)
    kinetic = 0.5 * atoms.get_masses() * (atoms.get_velocities() ** 2).sum(axis=1)
    convective = (last.energies + kinetic)[:, None] * velocities
    for symbol in ("Cu", "I"):
        own = np.array(atoms.get_chemical_symbols()) == symbol
        # Sums of a hundred terms of up to 100 eV Angstrom/ps.
        np.testing.assert_allclose(currents[f"virial_{symbol}"][-1], virial[own].sum(axis=0), atol=1e-8)
        # Their unit of kinetic energy is 2e-8 off.
        np.testing.assert_allclose(currents[f"convective_{symbol}"][-1], convective[own].sum(axis=0), atol=1e-5)
        momentum = atoms.get_masses()[own] @ velocities[own]
        np.testing.assert_allclose(currents[f"mass_{symbol}"][-1], momentum, atol=1e-9)


@pytest.mark.parametrize(
    ("atoms", "changes"),
    [
        (cubic_crystal(), {"ensemble": "nvt"}),
        (cubic_crystal(), {"ensemble": "nvt", "thermostat": "bussi", "framework": "frozen"}),
        (cubic_crystal(), {"ensemble": "npt", "barostat": "orthorhombic", "thermostat": "nose-hoover"}),
        (skew_crystal(), {"ensemble": "npt", "barostat": "triclinic", "supercell": [3, 6, 6]}),
    ],
    ids=["langevin", "bussi", "orthorhombic", "triclinic"],
)
def test_baths(atoms, changes, work):
    changes = changes | {"equilibration_ps": 0.8, "production_ps": 2.0, "position_interval_fs": 40.0}
    if changes["ensemble"] == "npt":
        changes |= {"pressure_gpa": 60.0, "pressure_relaxation_ps": 0.3}
    run = work("run", atoms, **changes)
    assert run.run() == EXIT_OK
    arrays, results = run.arrays("trajectory.npz"), run.output["results"]
    moving = results["atoms"] / (2 if "framework" in changes else 1)
    # A mean over the ends of five blocks, of which two at least are independent; five standard errors.
    sigma = 300 * np.sqrt(2 / (3 * moving) / 2)
    assert results["mean_temperature_k"] == pytest.approx(300, abs=5 * sigma)
    # The last frame is one crystal: in its own axes, with its own cell.
    frame = Atoms(arrays["numbers"], arrays["last_positions"], cell=arrays["cell"], pbc=True)
    energies = POTENTIAL.evaluate(frame).energies
    np.testing.assert_allclose(arrays["thermo"][-1, 2], energies.sum(), rtol=1e-10)
    if changes["ensemble"] == "npt":
        assert len(arrays["cells"]) == results["steps"] * 2.0 / 20.0 - 40
        start = np.linalg.det(run_cell(atoms, changes))
        # The crystal is at 61 GPa as it is cut: what its volume does is a few per cent.
        assert 0.0 < np.abs(np.linalg.det(arrays["cells"]) / start - 1).max() < 0.05
        gpa = arrays["thermo"][2:, 4] / units.GPa
        assert gpa.mean() == pytest.approx(60.0, abs=3.0)


def run_cell(atoms, changes):
    return atoms.cell.array * np.array(changes.get("supercell", MD["supercell"]))[:, None]


def test_run_that_is_stopped_behind_every_block(work):
    changes = {"equilibration_ps": 1.6, "production_ps": 1.2, "max_seconds": 1000.0, "current_interval_fs": 8.0}
    run = work("run", **changes)
    starts = 0
    while (code := run.task()) == EXIT_INTERRUPTED:
        run.stop_after_each_block()
        done = run.lammps(ranks=2 if starts == 5 else 1)
        assert done.returncode == 0, done.stdout + done.stderr
        starts += 1
        assert starts <= 7
    assert code == EXIT_OK, run.output
    assert starts == 7
    arrays = run.arrays("trajectory.npz")
    thermo = arrays["thermo"]
    np.testing.assert_allclose(thermo[:, 0], 0.4 * np.arange(1, 8))
    # Energy is set to the mean of the second half of the equilibration, as by the compiled loop. Verlet's error makes
    # it wander by some 1e-5 of the kinetic energy, 4 eV.
    np.testing.assert_allclose(thermo[4:, 3], thermo[2:4, 3].mean(), atol=1e-3)
    # No frame is missing or there twice: within 8 fs no ion moves by more than 0.1 Angstrom, and some do by 0.01.
    jumps = np.linalg.norm(np.diff(arrays["mobile_positions"], axis=0), axis=-1)
    assert len(jumps) == 149 and jumps.max() < 0.1 and jumps.max(axis=1).min() > 0.01
    assert len(run.arrays("currents.npz")["virial"]) == 150


def test_run_that_goes_on_in_other_folders(work, go_on):
    changes = {"production_ps": 1.6, "max_seconds": 1000.0, "export": ["extxyz"]}
    whole = work("whole", **changes)
    assert whole.run() == EXIT_OK
    first = work("first", **changes)
    assert first.task() == EXIT_INTERRUPTED
    first.stop_after_each_block()
    assert first.lammps().returncode == 0
    assert first.task() == EXIT_INTERRUPTED
    # The second was killed when LAMMPS had ended, before anything was made of it; the third before it began.
    second = go_on("second", first, **changes)
    shutil.copy(first.path / "trajectory.extxyz", second.path)
    assert second.task() == EXIT_INTERRUPTED
    second.stop_after_each_block()
    assert second.lammps().returncode == 0
    third = go_on("third", second, **changes)
    fourth = go_on("fourth", third, **changes)
    shutil.copy(second.path / "trajectory.extxyz", fourth.path)
    assert fourth.task() == EXIT_INTERRUPTED
    assert "from block 2 of 4" in (fourth.path / "in.lammps").read_text()
    assert fourth.lammps().returncode == 0
    assert fourth.task() == EXIT_OK, fourth.output
    expected, found = whole.arrays("trajectory.npz"), fourth.arrays("trajectory.npz")
    # What LAMMPS writes and reads again is the state to the last bit, but lists are made anew: sums in another order.
    np.testing.assert_allclose(found["mobile_positions"], expected["mobile_positions"], atol=1e-6)
    np.testing.assert_allclose(found["thermo"], expected["thermo"], rtol=1e-8)
    assert len(ase.io.read(fourth.path / "trajectory.extxyz", ":")) == len(expected["mobile_positions"])


def test_what_is_made_of_errors(work, tmp_path, monkeypatch):
    monkeypatch.delenv("LAMMPS_PLUGIN_PATH", raising=False)
    broken = tmp_path / "iontherm_mtp.so"
    broken.write_text("no library")
    cases = [
        ({"lammps": {"plugin": str(broken)}}, EXIT_INPUT, "Unrecognized pair style 'iontherm/mtp'.* compiled for this"),
        ({"lammps": {"plugin": None}}, EXIT_INPUT, "LAMMPS_PLUGIN_PATH"),
        ({"lammps": {"ranks": 2}}, EXIT_CRASH, "this LAMMPS has 1 MPI processes, not 2: take the mpiexec of its own"),
        ({"timestep_fs": 100.0, "position_interval_fs": 100.0}, EXIT_PHYSICS, "flew apart: shorten the timestep"),
    ]
    for number, (changes, code, words) in enumerate(cases):
        run = work(str(number), **changes)
        assert run.task() == EXIT_INTERRUPTED
        run.lammps()
        assert run.task() == code, run.output
        assert re.search(words, run.output["message"]), run.output
