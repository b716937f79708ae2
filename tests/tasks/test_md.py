"""The md task: where its files say what ASE says, and the ways it can be asked for the impossible."""

import numpy as np
import pytest
from ase import Atoms, units
from ase.build import bulk

from aiida_iontherm.physics.heat import flux_series
from aiida_iontherm.physics.mtp import MomentTensorPotential
from aiida_iontherm.physics.spectra import vibrational_dos
from aiida_iontherm.tasks.contract import EXIT_INPUT, EXIT_OK, EXIT_PHYSICS
from aiida_iontherm.tasks.flux_files import read_flux_table
from aiida_iontherm.tasks.md_groups import vibrating_sites
from aiida_iontherm.tasks.md_input import Input
from aiida_iontherm.tasks.md_plan import md_settings

MTP_MD = {
    "potential": "potential.mtp",
    "species": ["Cu", "I"],
    "mobile": "Cu",
    "temperature": 200.0,
    "timestep_fs": 2.0,
    "equilibration_ps": 0.4,
    "production_ps": 0.8,
    "position_interval_fs": 20.0,
    "snapshots": 8,
    "vdos": True,
    "vdos_resolution_thz": 4.0,
    "seed": 3,
}


def salt():
    return bulk("CuI", "rocksalt", a=5.4, cubic=True)


def write_potential(folder, strength: float = 2.0) -> MomentTensorPotential:
    blank = MomentTensorPotential.new(level=2, species=["Cu", "I"], cutoff=4.5, min_distance=1.5, radial_size=2, seed=1)
    potential = blank.replace(moment_coeffs=np.array([strength]))
    potential.write(folder.path / "potential.mtp")
    return potential


@pytest.mark.parametrize("compiled", [False, True])
def test_files_and_figures(compiled, folder):
    folder.give(MTP_MD | {"compiled": compiled}, structure=salt())
    potential = write_potential(folder)
    assert folder.run("md") == EXIT_OK
    results, arrays = folder.output["results"], folder.arrays("trajectory.npz")
    assert results["atoms"] == 8
    assert results["production_ps"] == pytest.approx(0.8)
    assert results["frames"] == len(arrays["mobile_positions"]) == 40
    assert arrays["frame_interval_fs"] == 20.0
    assert arrays["mobile_positions"].shape[1:] == (4, 3)
    # Strides are rounded down to what the blocks allow: at least as many as asked for.
    assert results["snapshots"] == len(arrays["snapshots"]) == len(folder.frames("snapshots.extxyz")) == 10
    for positions, forces in zip(arrays["snapshots"], arrays["snapshot_forces"], strict=True):
        atoms = Atoms(arrays["numbers"], positions, cell=arrays["cell"], pbc=True)
        # Another order of neighbours in the sums, and the potential went through a file with 16 digits.
        np.testing.assert_allclose(forces, potential.evaluate(atoms).forces, atol=1e-10)
    assert results["max_force_ev_per_angstrom"] == np.abs(arrays["snapshot_forces"]).max()
    production = arrays["thermo"][-2:]
    assert results["mean_temperature_k"] == pytest.approx(production[:, 1].mean())
    assert set(folder.progress[-1]["figures"]) == {"temperature"}
    assert {"vdos_frequencies_thz", "vdos_Cu", "vdos_I"} <= arrays.keys()


def test_currents_are_those_of_the_last_frame(folder):
    folder.give(MTP_MD | {"vdos": False, "current_interval_fs": 4.0}, structure=salt())
    potential = write_potential(folder)
    assert folder.run("md") == EXIT_OK
    currents, last = folder.arrays("currents.npz"), folder.arrays("trajectory.npz")
    assert currents["timestep_fs"] == 4.0
    assert currents["volume"] == pytest.approx(5.4**3)
    assert currents["temperature"] == pytest.approx(folder.output["results"]["mean_temperature_k"])
    assert currents["virial"].shape == currents["convective"].shape == (200, 3)
    atoms = Atoms(last["numbers"], last["last_positions"], cell=last["cell"], pbc=True)
    evaluation, velocities = potential.evaluate(atoms, virials=True), last["last_velocities"]
    kinetic = 0.5 * atoms.get_masses() * np.sum(velocities**2, axis=1) * (0.001 / units.fs) ** 2
    virial = np.einsum("jab,jb->ja", evaluation.virials, velocities)
    convective = (evaluation.energies + kinetic)[:, None] * velocities
    for symbol in ("Cu", "I"):
        own = atoms.symbols == symbol
        # Other orders of sums, and a potential through a file with 16 digits.
        np.testing.assert_allclose(currents[f"virial_{symbol}"][-1], virial[own].sum(axis=0), atol=1e-9)
        np.testing.assert_allclose(currents[f"convective_{symbol}"][-1], convective[own].sum(axis=0), atol=1e-9)
        momentum = (atoms.get_masses()[:, None] * velocities)[own].sum(axis=0)
        np.testing.assert_allclose(currents[f"mass_{symbol}"][-1], momentum, atol=1e-9)
    for part in ("virial", "convective"):
        np.testing.assert_allclose(currents[part], currents[f"{part}_Cu"] + currents[f"{part}_I"], atol=1e-12)
    # the reader of `iontherm green-kubo` takes the file as it is
    table = read_flux_table(folder.path / "currents.npz")
    assert {"virial", "convective", "mass_Cu", "mass_I"} <= set(table.series)


@pytest.mark.parametrize("thermostat", ["langevin", "bussi", "nose-hoover"])
def test_thermostats(thermostat, folder):
    folder.give(MTP_MD | {"vdos": False, "ensemble": "nvt", "thermostat": thermostat}, structure=salt())
    write_potential(folder)
    assert folder.run("md") == EXIT_OK
    # 8 atoms for 0.8 ps: within a factor of two; what ensembles they make is tested with the loop.
    assert 100 < folder.output["results"]["mean_temperature_k"] < 400


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"current_interval_fs": 4.0}, "heat currents need"),
        ({"thermostat": "bussi"}, "bussi needs"),
        ({"compiled": True}, "loop needs a potential"),
    ],
)
def test_what_an_engine_cannot_do(change, message, folder):
    asked = MTP_MD | {"potential": None, "species": [], "engine": "emt", "vdos": False} | change
    folder.give(asked, structure=bulk("Cu", cubic=True))
    assert folder.run("md") == EXIT_INPUT
    assert message in folder.output["message"]


def strained_cu3au(ratio: float) -> Atoms:
    """L1_2, in which a strain along z tells the copper between gold atoms apart from the other two."""
    places = [(0, 0, 0), (0.5, 0.5, 0), (0.5, 0, 0.5), (0, 0.5, 0.5)]
    return Atoms("AuCu3", cell=np.diag([3.75, 3.75, 3.75 * ratio]), scaled_positions=places, pbc=True)


def test_vibrations_by_site(folder):
    """Against the transform of all velocities, with the sites told apart by hand."""
    asked = {
        "engine": "emt",
        "supercell": (2, 2, 2),
        "temperature": 300.0,
        "timestep_fs": 2.0,
        "equilibration_ps": 0.2,
        "production_ps": 1.0,
        "vdos": True,
        "vdos_resolution_thz": 3.0,
        "store_velocities": True,
    }
    folder.give(asked, structure=strained_cu3au(1.02))
    assert folder.run("md") == EXIT_OK
    arrays, stored = folder.arrays("trajectory.npz"), folder.arrays("velocities.npz")
    labels = np.repeat(["Au", "Cu1", "Cu2", "Cu2"], 8)
    masses = Atoms(numbers=arrays["numbers"]).get_masses()
    whole = vibrational_dos(
        stored["velocities"], float(stored["frame_interval_fs"]), masses, labels, resolution_thz=3.0
    )
    for site, states in whole.partial.items():
        # single precision of the transforms
        np.testing.assert_allclose(arrays[f"vdos_{site}"], states, atol=1e-5 * states.max())
        directions = sum(arrays[f"vdos_{site}_{axis}"] for axis in "xyz")
        np.testing.assert_allclose(directions, states, atol=1e-5 * states.max())
    copper = arrays["vdos_Cu1"] + arrays["vdos_Cu2"]
    np.testing.assert_allclose(arrays["vdos_Cu"], copper, atol=1e-9 * copper.max())  # the same numbers, summed before
    correlation = (arrays["vacf_Cu1"] + 2 * arrays["vacf_Cu2"]) / 3
    np.testing.assert_allclose(arrays["vacf_Cu"], correlation, atol=1e-9 * correlation.max())


def test_sites_only_where_there_are_several_and_not_one_for_each_atom():
    assert vibrating_sites(strained_cu3au(1.0), 1) == ["Au", "Cu", "Cu", "Cu"]
    assert vibrating_sites(strained_cu3au(1.02), 2) == ["Au"] * 2 + ["Cu1"] * 2 + ["Cu2"] * 4
    disordered = salt() * (2, 2, 1)
    disordered.rattle(0.1, seed=1)
    assert set(vibrating_sites(disordered, 1)) == {"Cu", "I"}


def test_nothing_mobile_and_no_snapshots(folder):
    folder.give(MTP_MD | {"mobile": None, "snapshots": 0, "vdos": False}, structure=salt())
    write_potential(folder)
    assert folder.run("md") == EXIT_OK
    assert folder.output["results"]["frames"] == folder.output["results"]["snapshots"] == 0
    assert folder.output["results"]["max_force_ev_per_angstrom"] == 0
    assert not (folder.path / "snapshots.extxyz").exists()


def test_energy_drift_is_reported(argon_md):
    # Verlet does not drift; what is left is the slope through its fluctuations, 1e-7 eV per atom over 6 ps.
    assert abs(argon_md.output["results"]["energy_drift_ev_per_atom_ns"]) < 1e-4


@pytest.mark.parametrize("snapshots", [1, 7, 50, 400])
def test_blocks_stay_short_however_few_snapshots_are_asked_for(snapshots):
    """A run must be able to stop within about half a picosecond."""
    task_input = Input(**(MTP_MD | {"snapshots": snapshots, "production_ps": 40.0}))
    settings = md_settings(task_input)
    assert 0.2 <= settings.block_steps * 2.0 / 1000 <= 0.6
    stored = (settings.blocks - settings.equilibration_blocks) * settings.block_steps // settings.snapshot_stride
    # Strides are rounded down to whole blocks, so never fewer than asked for.
    assert snapshots <= stored <= 1.3 * snapshots + 1


def test_constant_pressure(folder):
    """The mean cell is that of the stored ones; an impossible pressure is said."""
    asked = {"ensemble": "npt", "pressure_gpa": 20.0, "barostat": "orthorhombic", "vdos": False, "snapshots": 0}
    folder.give(MTP_MD | asked, structure=salt())
    write_potential(folder)
    assert folder.run("md") == EXIT_OK
    results, arrays = folder.output["results"], folder.arrays("trajectory.npz")
    np.testing.assert_allclose(results["mean_cell_angstrom"], arrays["cells"].mean(axis=0))
    assert results["mean_volume_angstrom3"] == pytest.approx(np.linalg.det(arrays["cells"]).mean())
    assert results["mean_volume_uncertainty_angstrom3"] > 0
    assert abs(arrays["cells"][:, 0, 1]).max() == 0
    assert np.ptp(arrays["cells"][:, 0, 0]) > 0.01


def test_replicas(folder):
    """The first one is the run without replicas; the others differ; what is summed is of all of them."""
    alone = MTP_MD | {"density": True, "current_interval_fs": 4.0}
    folder.give(alone, structure=salt())
    write_potential(folder)
    assert folder.run("md") == EXIT_OK
    one, one_current = folder.arrays("trajectory.npz"), folder.arrays("currents.npz")
    folder.give(alone | {"replicas": 3}, structure=salt())
    assert folder.run("md") == EXIT_OK
    three, currents = folder.arrays("trajectory.npz"), folder.arrays("currents.npz")
    assert folder.output["results"]["replicas"] == 3
    assert folder.output["results"]["frames"] == 40
    for name in ("mobile_positions", "thermo", "drift", "msd_Cu"):
        assert three[name].shape == (3, *one[name].shape)
        np.testing.assert_array_equal(three[name][0], one[name])
        assert np.abs(three[name][1] - three[name][2]).max() > 0
    np.testing.assert_array_equal(three["snapshots"], one["snapshots"])
    np.testing.assert_array_equal(currents["virial"][0], one_current["virial"])
    assert three["density_counts"].sum() == 3 * one["density_counts"].sum() == 3 * 40 * 4
    # At lag 0 there is k_B T, in amu (Angstrom/ps)^2, of 21 degrees of freedom shared by 24; the temperatures known are
    # those at the ends of two blocks, which for 8 atoms fluctuate by 30 %.
    at_rest = np.mean([three[f"vacf_{symbol}"][:, 0] for symbol in ("Cu", "I")])
    kt = 8.617e-5 * 9648.5 * folder.output["results"]["mean_temperature_k"]
    assert at_rest == pytest.approx(21 / 24 * kt, rel=0.3)
    series = flux_series([read_flux_table(folder.path / "currents.npz").vector("virial")], 4.0)
    assert series.n_replicas == 3


@pytest.mark.parametrize("engine", [False, True])
def test_frozen_framework(engine, folder):
    # Warm enough for what copper gains by leaving the tops between frozen ions, where repulsion has put it.
    held = {"framework": "frozen", "vdos": False, "compiled": not engine, "temperature": 900.0}
    folder.give(MTP_MD | held, structure=salt())
    write_potential(folder)
    assert folder.run("md") == EXIT_OK
    arrays = folder.arrays("trajectory.npz")
    iodine = arrays["numbers"] == 53
    assert np.ptp(arrays["snapshots"][:, iodine], axis=0).max() == 0
    assert np.ptp(arrays["snapshots"][:, ~iodine], axis=0).max() > 0.01
    assert not arrays["last_velocities"][iodine].any()
    # Four free atoms have twelve degrees of freedom; 1.0364e-4 eV is an amu (Angstrom/ps)^2.
    kinetic = 0.5 * 63.546 * np.sum(arrays["last_velocities"] ** 2) * 1.0364e-4
    assert arrays["thermo"][-1, 1] == pytest.approx(2 * kinetic / (12 * 8.617333e-5), rel=1e-4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mobile": None, "framework": "frozen"}, "what is the framework?"),
        ({"framework": "rigid-polyanions"}, "no polyanions in"),
        ({"mobile": None, "density": True}, "a density of which ions?"),
        ({"ensemble": "npt", "density": True, "vdos": False}, "a cell that stays as it is"),
        ({"ensemble": "npt", "framework": "frozen", "vdos": False}, "frozen atoms have no place"),
        ({"store_velocities": True, "replicas": 2}, "velocities of one run"),
    ],
)
def test_what_does_not_go_together(change, message, folder):
    folder.give(MTP_MD | change, structure=salt())
    write_potential(folder)
    assert folder.run("md") == EXIT_INPUT
    assert message in folder.output["message"]


def test_a_cell_thinner_than_the_cutoff(folder):
    folder.give(MTP_MD | {"vdos": False}, structure=bulk("CuI", "rocksalt", a=5.4))
    write_potential(folder)
    assert folder.run("md") == EXIT_INPUT
    assert "only 3.12 Angstrom thick" in folder.output["message"]
    assert "2 x 2 x 2" in folder.output["message"]


def test_what_is_kept_is_said_before_and_after(folder):
    folder.give(MTP_MD, structure=salt())
    write_potential(folder)
    assert folder.run("md") == EXIT_OK
    results = folder.output["results"]
    assert folder.progress[0]["figures"]["planned_mb"] == results["planned_mb"]
    # Small files are mostly what a plan leaves out: headers, spectra.
    assert 0.3 < results["stored_mb"] / results["planned_mb"] < 10


def test_a_timestep_too_long(folder):
    """Ten steps in a period are too few for the stiffest bonds: the energy drifts, and a shorter step is proposed."""
    folder.give(
        MTP_MD | {"timestep_fs": 18.0, "vdos": False, "production_ps": 40.0, "temperature": 400.0}, structure=salt()
    )
    write_potential(folder)
    code = folder.run("md")
    if code == EXIT_OK:
        assert "too long here, take" in folder.output["results"]["warnings"][0]
    else:
        assert "shorten the timestep" in folder.output["message"]


def test_a_melt_is_noticed(folder):
    """Atoms that hardly see each other are a gas: iodine moves on as well as copper."""
    folder.give(MTP_MD | {"vdos": False, "temperature": 3000.0, "production_ps": 8.0}, structure=salt())
    write_potential(folder, strength=0.01)
    assert folder.run("md") == EXIT_OK
    assert any("I leave their sites" in warning for warning in folder.output["results"]["warnings"])


def test_a_crystal_gives_no_warning(argon_md):
    assert argon_md.output["results"]["warnings"] == []


def test_an_unstable_potential_is_a_failure_of_physics(folder):
    folder.give(MTP_MD, structure=salt())
    write_potential(folder, strength=-1e5)
    atoms = salt()
    atoms.rattle(0.1, seed=4)
    folder.give(MTP_MD, structure=atoms)
    assert folder.run("md") == EXIT_PHYSICS
    assert "add training data" in folder.output["message"]


def test_a_force_beyond_the_limit_is_a_failure_of_physics(folder):
    folder.give(MTP_MD | {"max_force": 1e-3}, structure=salt())
    write_potential(folder)
    assert folder.run("md") == EXIT_PHYSICS
    assert "closer than the potential was trained for" in folder.output["message"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"potential": None}, "either a potential or an engine"),
        ({"engine": "emt"}, "either a potential or an engine"),
        ({"potential": "absent.mtp"}, "no potential file"),
        ({"species": ["Cu"]}, "holds 2 species"),
        ({"species": ["Cu", "Br"]}, "is a potential of Cu, I in this order"),
        ({"potential": None, "engine": "emt"}, "does not know I"),
        ({"mobile": "Li"}, "no Li in"),
        ({"temperature": 0}, "temperature"),
        ({"ensemble": "nph"}, "ensemble"),
        ({"supercell": [1, 0, 1]}, "supercell"),
        ({"timestep": 1.0}, "did you mean timestep_fs?"),
        ({"vdos_resolution_thz": 0.2}, "cannot resolve 0.2 THz: production_ps must be"),
    ],
)
def test_wrong_inputs(folder, change, words):
    folder.give(MTP_MD | change, structure=salt())
    write_potential(folder)
    assert folder.run("md") == EXIT_INPUT
    assert words in folder.output["message"]


def test_two_atoms_in_one_place(folder):
    atoms = salt()
    atoms.positions[2] = atoms.positions[0]
    folder.give(MTP_MD, structure=atoms)
    write_potential(folder)
    assert folder.run("md") == EXIT_INPUT
    assert "two atoms of this cell lie in one place" in folder.output["message"]
