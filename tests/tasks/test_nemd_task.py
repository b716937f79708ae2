"""The task nemd: what it writes, that it goes on where it stopped, and what it refuses."""

import signal

import numpy as np
import pytest
from pair_argon import argon, pair_argon

from aiida_iontherm.physics.units import EV_PER_PS_ANGSTROM_KELVIN_TO_W_PER_M_K
from aiida_iontherm.tasks.contract import EXIT_INPUT, EXIT_INTERRUPTED, EXIT_OK, EXIT_PHYSICS
from aiida_iontherm.tasks.nemd import choose_slabs
from aiida_iontherm.tasks.nemd_files import HeatExchangeRun, supercell_of

NEMD = {
    "species": ["Ar"],
    "supercell": [12, 2, 2],
    "temperature": 30.0,
    "timestep_fs": 10.0,
    "equilibration_ps": 1.0,
    "production_ps": 8.0,
    "power_ev_per_ps": 0.02,
    "seed": 3,
}


def given(folder, **changes):
    pair_argon().write(folder.path / "potential.mtp")
    task_input = {name: value for name, value in (NEMD | changes).items() if value is not None}
    return folder.give(task_input, structure=argon())


def test_files_and_figures(folder):
    assert given(folder).run("nemd") == EXIT_OK
    results, run = folder.output["results"], HeatExchangeRun.read(folder.path / "profile.npz")
    assert (results["atoms"], results["slabs"], results["power_ev_per_ps"]) == (192, 12, 0.02)
    assert (run.axis, run.power_ev_per_ps, run.block_ps, run.temperature_k) == (0, 0.02, 0.02, 30.0)
    assert run.profile.shape == (400, 12, 4)
    assert (
        results["profile_mb"] == folder.progress[0]["figures"]["profile_mb"] == pytest.approx(run.profile.nbytes / 1e6)
    )
    # No atom crosses a face: 16 in each slab at any time.
    np.testing.assert_array_equal(run.profile[..., 0], 16.0)
    result = run.analyse()
    (quantity,) = results["quantities"]
    assert quantity["value"] == results["kappa"] == result.kappa
    assert results["length_angstrom"] == pytest.approx(6 * 5.15)
    assert quantity["direction"] == "a"
    # Eight picoseconds say little, and that is said.
    assert not quantity["converged"]
    # measured 4e-7: heat exchange of second order would lose a thousand times as much
    assert abs(results["energy_drift_ev_per_atom_ns"]) < 1e-4


def test_power_from_a_difference(folder):
    changes = {"power_ev_per_ps": None, "temperature_difference": 6.0, "kappa_guess": 0.8}
    assert given(folder, **changes).run("nemd") == EXIT_OK
    area, length = 10.3**2, 6 * 5.15
    expected = 2 * area * 0.8 / EV_PER_PS_ANGSTROM_KELVIN_TO_W_PER_M_K * 6.0 / length
    assert folder.output["results"]["power_ev_per_ps"] == pytest.approx(expected)


@pytest.mark.slow
def test_stopped_and_continued(make_folder, same_arrays):
    """A run of half a minute that is stopped twice, and one that is not."""
    whole, parts = given(make_folder("whole")), given(make_folder("parts"))
    assert whole.run("nemd") == EXIT_OK
    for _ in range(2):
        code, errors = parts.stop_after("nemd", 60, signal.SIGTERM)
        assert code == EXIT_INTERRUPTED, errors
    code, errors = parts.finish("nemd")
    assert code == EXIT_OK, errors
    same_arrays(parts.arrays("profile.npz"), whole.arrays("profile.npz"))
    assert parts.output["results"] == whole.output["results"]


def test_the_zero_of_energies_does_not_matter(make_folder):
    runs = []
    for name, shift in (("one", 0.0), ("other", 5.0)):
        folder = given(make_folder(name), production_ps=4.0)
        potential = pair_argon()
        potential.replace(species_coeffs=potential.species_coeffs + shift).write(folder.path / "potential.mtp")
        assert folder.run("nemd") == EXIT_OK
        runs.append(folder.arrays("profile.npz")["profile"])
    # rounding of 5 eV, grown by 400 steps of a crystal
    np.testing.assert_allclose(runs[1], runs[0], rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"supercell": [12, 1, 1]}, "slabs of 8: take more cells"),
        ({"supercell": [30, 1, 1], "timestep_fs": 5.0, "structure": "thin.extxyz"}, "Angstrom thin, the potential"),
        ({"slabs": 40}, "4.8 each, less than 8"),
        ({"slabs": 13}, "even number"),
        ({"power_ev_per_ps": None}, "give either power_ev_per_ps"),
        ({"temperature_difference": 3.0, "kappa_guess": 1.0}, "give either power_ev_per_ps"),
        ({"power_ev_per_ps": 1.0}, "would take the kinetic energy of the cold slab"),
        ({"production_ps": 0.5}, "production_ps must be"),
        ({"species": ["Kr"]}, "Ar"),
        ({"axis": "x"}, "axis"),
    ],
)
def test_bad_input(changes, words, folder):
    import ase.io

    thin = argon()
    thin.set_cell(thin.cell.array * [[1.0], [0.9], [0.9]])
    ase.io.write(folder.path / "thin.extxyz", thin)
    assert given(folder, **changes).run("nemd") == EXIT_INPUT
    assert words in folder.output["message"]


def test_more_heat_than_the_cold_slab_has(folder):
    """Within what is let through, but more than the crystal carries."""
    assert given(folder, power_ev_per_ps=0.5, production_ps=20.0).run("nemd") == EXIT_PHYSICS
    assert "exchange less heat" in folder.output["message"]


@pytest.mark.parametrize(
    ("cells", "atoms", "slabs"),
    [
        (24, 1536, 24),
        (64, 4096, 32),
        (60, 960, 30),
        (12, 192, 12),
        (13, 2000, 26),
        (17, 300, 34),
        (7, 500, 14),
        (17, 130, 16),
    ],
)
def test_slabs_of_whole_cells(cells, atoms, slabs):
    assert choose_slabs(cells, atoms) == slabs


def test_supercells():
    assert supercell_of("a", 20, (3, 4)) == (20, 3, 4)
    assert supercell_of("b", 20, (3, 4)) == (3, 20, 4)
    assert supercell_of("c", 20, (3, 4)) == (3, 4, 20)


def test_profile_files_that_are_none(folder):
    np.savez(folder.path / "other.npz", profile=np.zeros((2, 2)))
    with pytest.raises(ValueError, match=r"holds no cell, axis, .* it is no profile"):
        HeatExchangeRun.read(folder.path / "other.npz")
