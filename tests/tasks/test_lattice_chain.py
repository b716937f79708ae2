"""From snapshots of cold argon to force constants, phonons and linewidths, against finite displacements."""

import numpy as np
import pytest
from ase.calculators.lj import LennardJones
from ase.calculators.singlepoint import SinglePointCalculator

from aiida_iontherm.physics.lattice import Phonons, two_channel_sum
from aiida_iontherm.physics.lattice.cells import build_supercell, make_phonopy, to_atoms
from aiida_iontherm.tasks.contract import EXIT_INPUT, EXIT_OK, EXIT_PHYSICS


@pytest.fixture
def argon(argon_md):
    return argon_md.frames("structure.extxyz")[0]


@pytest.fixture
def finite_displacements(argon):
    """Phonopy's own way, with the same calculator: harmonic force constants at zero temperature."""
    phonopy = make_phonopy(argon, (2, 2, 2))
    phonopy.generate_displacements(distance=0.01)
    forces = []
    for supercell in phonopy.supercells_with_displacements:
        atoms = to_atoms(supercell)
        atoms.calc = LennardJones(epsilon=0.0104, sigma=3.4, rc=4.9, ro=0.8 * 4.9, smooth=True)
        forces.append(atoms.get_forces())
    phonopy.forces = forces
    phonopy.produce_force_constants()
    phonopy.symmetrize_force_constants()
    return phonopy


def test_force_constants_of_cold_argon_are_the_harmonic_ones(argon_md, argon_force_constants, finite_displacements):
    results = argon_force_constants.output["results"]
    assert results["snapshots"] == len(argon_md.arrays("trajectory.npz")["snapshots"]) == 12
    assert results["r2_train"] >= results["r2_test"] > 0.995
    assert results["max_mean_shift_angstrom"] < 0.1
    arrays = argon_force_constants.arrays("force_constants.npz")
    assert arrays["fits"] == 3
    harmonic = finite_displacements.force_constants[arrays["p2s"]]
    # At 4 K the mean square displacement of 0.005 Angstrom^2 renormalises argon's stiff bonds by a few per cent.
    np.testing.assert_allclose(arrays["fc2_0"], harmonic, atol=0.05 * np.abs(harmonic).max())
    # Fits with a block left out differ, but not by more than the accuracy of the whole.
    for fit in (1, 2):
        difference = np.abs(arrays[f"fc2_{fit}"] - arrays["fc2_0"]).max()
        assert 0 < difference < 0.05 * np.abs(harmonic).max()
    np.testing.assert_allclose(arrays["positions"] @ np.linalg.inv(arrays["unitcell"]) % 0.5, 0, atol=1e-6)
    assert arrays["numbers"].tolist() == [18] * 4


def test_phonons_and_linewidths(make_folder, argon_force_constants, finite_displacements):
    folder = make_folder("conductivity")
    folder.give({"temperatures": [10.0, 20.0], "mesh": [6, 6, 6], "coarse_mesh": [4, 4, 4], "mobile": "Ar"})
    (folder.path / "force_constants.npz").symlink_to(argon_force_constants.path / "force_constants.npz")
    assert folder.run("lattice-conductivity") == EXIT_OK
    results, arrays = folder.output["results"], folder.arrays("phonons.npz")
    assert results["irreducible_points"] == len(arrays["weights"]) == 16
    assert arrays["weights"].sum() == 6**3
    assert results["bands"] == 3
    assert results["imaginary_weight"] == 0
    expected = Phonons.from_phonopy(finite_displacements, qpoints=arrays["qpoints"], weights=arrays["weights"])
    # Half of the 5 % of the force constants; frequencies near zero in absolute terms.
    np.testing.assert_allclose(arrays["frequencies_thz"], expected.frequencies_thz, rtol=0.025, atol=0.01)
    gamma = arrays["gamma_thz"]
    assert gamma.shape == (2, 16, 3)
    moving = arrays["frequencies_thz"] > 0.1
    assert np.all(gamma[:, moving] > 0)
    # Anharmonic scattering grows with the temperature, in proportion where the modes are classical.
    assert 1.5 < gamma[1, moving].mean() / gamma[0, moving].mean() < 3.5
    # The sum over all modes of the density of states.
    grid = arrays["dos_frequencies_thz"]
    assert np.trapezoid(arrays["dos_Ar"], grid) == pytest.approx(3.0, rel=0.01)
    assert arrays["fits"] == 3
    for fit in range(3):
        assert arrays[f"coarse_{fit}_weights"].sum() == 4**3
    total = []
    for index, temperature in enumerate((10.0, 20.0)):
        channels = two_channel_sum(
            arrays["frequencies_thz"],
            arrays["velocity_products"],
            arrays["weights"],
            gamma[index],
            temperature,
            float(arrays["volume_A3"]),
        )
        total.append(np.trace(sum(channels)) / 3)
    # Argon's conductivity is of the order of 1 W/(m K) at 20 K, and falls with the temperature; nearest neighbours only
    # and a coarse mesh leave no more than that.
    assert 0.3 < total[1] < 5
    assert total[1] < total[0]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"trajectory": "absent.npz"}, "no file absent.npz"),
        ({"trajectory": "damaged.npz"}, "damaged.npz is not a complete"),
        ({"trajectory": "empty.npz"}, "snapshots"),
        ({"structure": "absent.extxyz"}, "no file absent.extxyz"),
        ({"supercell": [2, 2, 1]}, "do not fit a supercell of 16 atoms"),
        ({"cutoffs": [0.0, 4.0]}, "cutoff"),
        ({"blocks": 100}, "cannot be split into 100 blocks"),
        ({"blocks": 1}, "blocks"),
        ({"fit_method": "lasso"}, "fit_method"),
        ({"expansion": "both"}, "expansion"),
        ({"convergence": ["atoms"]}, "convergence"),
    ],
)
def test_wrong_inputs_of_the_fit(folder, argon_md, argon, change, words):
    folder.give({"supercell": [2, 2, 2], "cutoffs": [4.9, 4.0], "blocks": 2} | change, structure=argon)
    (folder.path / "trajectory.npz").symlink_to(argon_md.path / "trajectory.npz")
    (folder.path / "damaged.npz").write_bytes((argon_md.path / "trajectory.npz").read_bytes()[:1000])
    np.savez(folder.path / "empty.npz", thermo=np.zeros((2, 5)))
    assert folder.run("force-constants") == EXIT_INPUT
    assert words in folder.output["message"]
    assert not (folder.path / "force_constants.npz").exists()


def test_labelled_supercells_serve_as_a_trajectory(make_folder, argon_md, argon, argon_force_constants):
    """The same snapshots in extended XYZ give the same force constants."""
    trajectory = argon_md.arrays("trajectory.npz")
    supercell = build_supercell(argon, (2, 2, 2))
    frames = []
    for positions, forces in zip(trajectory["snapshots"], trajectory["snapshot_forces"], strict=True):
        atoms = supercell.copy()
        atoms.positions = positions
        atoms.calc = SinglePointCalculator(atoms, energy=0.0, forces=forces)
        frames.append(atoms)
    settings = {"supercell": [2, 2, 2], "cutoffs": [4.9, 4.0], "blocks": 2}
    folder = make_folder("labelled").give(
        settings | {"configurations": "frames.extxyz"}, structure=argon, frames=frames
    )
    assert folder.run("force-constants") == EXIT_OK, folder.output
    expected = argon_force_constants.arrays("force_constants.npz")["fc2_0"]
    # Eight decimals in the text file.
    np.testing.assert_allclose(folder.arrays("force_constants.npz")["fc2_0"], expected, atol=1e-5)
    other = make_folder("other").give(settings | {"configurations": "frames.extxyz"}, structure=argon, frames=[argon])
    assert other.run("force-constants") == EXIT_INPUT
    assert "configuration 0 is not a (2, 2, 2) supercell" in other.output["message"]


def test_a_fourth_order_leaves_second_and_third_as_they_are(make_folder, argon_md, argon, argon_force_constants):
    """Unless all orders are to be one model of the forces."""
    settings = {"supercell": [2, 2, 2], "cutoffs": [4.9, 4.0, 4.0], "blocks": 2}
    arrays, results = {}, {}
    for expansion in ("effective", "taylor"):
        folder = make_folder(expansion).give(settings | {"expansion": expansion}, structure=argon)
        (folder.path / "trajectory.npz").symlink_to(argon_md.path / "trajectory.npz")
        assert folder.run("force-constants") == EXIT_OK, folder.output
        arrays[expansion], results[expansion] = folder.arrays("force_constants.npz"), folder.output["results"]
    without = argon_force_constants.arrays("force_constants.npz")
    size = np.abs(without["fc2_0"]).max()
    for fit in range(3):
        # The same equations, summed with others in between.
        np.testing.assert_allclose(arrays["effective"][f"fc2_{fit}"], without[f"fc2_{fit}"], atol=1e-9 * size)
        assert np.array_equal(arrays["effective"][f"fc4_{fit}"], arrays["taylor"][f"fc4_{fit}"])
    assert np.abs(arrays["taylor"]["fc2_0"] - without["fc2_0"]).max() > 1e-4 * size
    before = argon_force_constants.output["results"]
    assert results["effective"]["r2_test"] == pytest.approx(before["r2_test"], abs=1e-9)
    assert results["effective"]["parameters"] == before["parameters"]
    assert before["with_fourth_order"] is None is results["taylor"]["with_fourth_order"]
    fourth = results["effective"]["with_fourth_order"]
    assert {key: fourth[key] for key in ("parameters", "r2_test")} == {
        key: results["taylor"][key] for key in ("parameters", "r2_test")
    }
    assert fourth["parameters"] > before["parameters"]


def test_convergence_is_told(make_folder, argon_md, argon, argon_force_constants):
    settings = {"supercell": [2, 2, 2], "cutoffs": [4.9, 4.0], "blocks": 2, "convergence": ["snapshots", "cutoffs"]}
    folder = make_folder("compared").give(settings, structure=argon)
    (folder.path / "trajectory.npz").symlink_to(argon_md.path / "trajectory.npz")
    assert folder.run("force-constants") == EXIT_OK, folder.output
    results, plain = folder.output["results"], argon_force_constants.output["results"]
    snapshots, cutoffs = results["convergence"]["snapshots"], results["convergence"]["cutoffs"]
    assert snapshots["settings"] == [6, 12]
    assert snapshots["rmse_test_ev_per_angstrom"][-1] == plain["rmse_test_ev_per_angstrom"]
    # Cold argon: half of 12 snapshots of 32 atoms fix its few parameters to a per mille, some 1 THz times 1e-3.
    assert 0 < snapshots["frequency_change_thz"][0] < 0.02
    assert snapshots["frequency_change_thz"][1] == 0
    assert snapshots["converged"]
    np.testing.assert_allclose(cutoffs["settings"], np.outer([0.8, 0.9, 1.0], [4.9, 4.0]), rtol=1e-12)
    assert cutoffs["parameters"] == sorted(cutoffs["parameters"])
    # Nearest neighbours at 3.75 Angstrom, the next at 5.3: in second order the three settings are the same.
    assert results["convergence_converged"] == (snapshots["converged"] and cutoffs["converged"])
    assert snapshots["reason"] in results["convergence_reason"] or cutoffs["reason"] in results["convergence_reason"]
    assert not any(key.startswith("convergence") for key in plain)


def test_an_ion_that_hops_late_is_no_convergence(make_folder, argon_md, argon):
    """One atom leaves its site for the last sixth of the time: its mean position does not tell, the series does."""
    trajectory = argon_md.arrays("trajectory.npz")
    late = -(len(trajectory["snapshots"]) // 6)
    trajectory["snapshots"][late:, 7] += [1.5, 1.5, 1.5]
    settings = {"supercell": [2, 2, 2], "cutoffs": [4.9, 4.0], "blocks": 2, "convergence": ["snapshots"]}
    folder = make_folder("late").give(settings, structure=argon)
    np.savez(folder.path / "trajectory.npz", **trajectory)
    assert folder.run("force-constants") == EXIT_OK, folder.output
    results = folder.output["results"]
    assert not results["convergence_converged"]
    assert "snapshots from 6 to 12" in results["convergence_reason"]


def test_hopping_ions_have_no_sites(folder, argon_md, argon):
    """One atom spends nearly all of the time on a site 3 Angstrom away."""
    trajectory = argon_md.arrays("trajectory.npz")
    trajectory["snapshots"][1:, 7] += [3.0, 0.0, 0.0]
    folder.give({"supercell": [2, 2, 2], "cutoffs": [4.9, 4.0], "blocks": 2}, structure=argon)
    np.savez(folder.path / "trajectory.npz", **trajectory)
    assert folder.run("force-constants") == EXIT_PHYSICS
    assert "ions hop" in folder.output["message"]
    assert "only 0 of 12 snapshots" in folder.output["message"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"force_constants": "absent.npz"}, "no file absent.npz"),
        ({"force_constants": "empty.npz"}, "holds no force constants"),
        ({"temperatures": []}, "temperatures"),
        ({"temperatures": [300.0, 0.0]}, "temperatures"),
        ({"mesh": [0, 4, 4]}, "mesh"),
        ({"coarse_messh": [4, 4, 4]}, "did you mean coarse_mesh?"),
    ],
)
def test_wrong_inputs_of_the_conductivity(folder, change, words):
    np.savez(folder.path / "empty.npz", nothing=np.zeros(1))
    folder.give({"temperatures": [300.0], "mesh": [4, 4, 4], "coarse_mesh": [2, 2, 2]} | change)
    assert folder.run("lattice-conductivity") == EXIT_INPUT
    assert words in folder.output["message"]
