"""The task ``lattice-conductivity`` with linewidths from a table or a model instead of three-phonon scattering."""

import h5py
import numpy as np
import pytest

from aiida_iontherm.physics.lattice import (
    Phonons,
    boundary_gamma,
    isotope_gamma,
    two_channel,
    umklapp_and_proportional,
)
from aiida_iontherm.physics.lattice.estimate import (
    carrier_quantities,
    conductivity_quantities,
    estimate_conductivity,
)
from aiida_iontherm.tasks.contract import EXIT_INPUT, EXIT_OK
from aiida_iontherm.tasks.crystal import crystal_arrays, phonopy_of
from aiida_iontherm.tasks.linewidth_files import read_linewidths
from aiida_iontherm.tasks.phonopy_directory import load_phonopy_directory

MODEL = {"c1": 3e-17, "c2": 20.0, "a": 0.005}
TEMPERATURES = [200.0, 300.0]


@pytest.fixture(scope="module")
def crystal(shared_data):
    return load_phonopy_directory(shared_data / "phonondb" / "mp-22914")


@pytest.fixture
def given(make_folder, crystal):
    def make(linewidths, name="given", **settings):
        folder = make_folder(name).give({"temperatures": TEMPERATURES, "linewidths": linewidths} | settings)
        np.savez(folder.path / "force_constants.npz", **crystal_arrays(crystal))
        return folder

    return make


def table_of(phonons, gamma, **more):
    return {
        "gamma_thz": gamma,
        "qpoints": phonons.qpoints,
        "frequencies_thz": phonons.frequencies_thz,
        "temperatures": np.array(TEMPERATURES),
        "mesh": np.array([5, 5, 5]),
    } | more


@pytest.fixture(scope="module")
def phonons(crystal):
    return Phonons.from_phonopy(crystal, (5, 5, 5))


@pytest.fixture(scope="module")
def gamma(phonons):
    return umklapp_and_proportional(**MODEL).gamma_thz(phonons.frequencies_thz, TEMPERATURES)


def test_model_with_isotopes_and_boundaries(given, crystal, phonons, gamma):
    choice = {"source": "model", "model": MODEL, "isotopes": True, "boundary_um": 0.5}
    folder = given(choice, mesh=[5, 5, 5], coarse_mesh=[4, 4, 4])
    assert folder.run("lattice-conductivity") == EXIT_OK, folder.output
    # The crystal as the task has it: on a coarse mesh the tetrahedra of isotope scattering make a finite difference of
    # the last bits of the force constants where their corners are equivalent points.
    isotopes = isotope_gamma(phonopy_of(crystal_arrays(crystal)), (5, 5, 5))
    added = gamma + isotopes + boundary_gamma(phonons, 0.5e-6)
    expected = two_channel(phonons, np.where(gamma > 0, added, 0.0), TEMPERATURES)
    estimate = estimate_conductivity(folder.arrays("phonons.npz"))
    # velocity products are stored in single precision
    np.testing.assert_allclose(estimate.values[2], expected.total, rtol=1e-5, atol=1e-6)
    assert np.all(estimate.mesh_change[2, :, 0, 0] > 0)
    assert "boundaries 0.5 um apart" in folder.output["results"]["linewidths"]
    quantities = carrier_quantities(estimate, None, "test")
    shares = [q.value for q in quantities if q.name.endswith("_modes") and q.temperature == 300.0]
    # the three acoustic modes at Gamma have no regime
    assert sum(shares) == pytest.approx(1 - 3 / (125 * 6))
    parts = [q.value for q in quantities if q.name.startswith("kappa_of_") and q.temperature == 300.0]
    assert sum(parts) == pytest.approx(np.trace(expected.total[1]) / 3, rel=1e-5)


def test_table_gives_back_its_conductivity_in_any_order_of_its_points(given, phonons, gamma):
    folder = given({"source": "table"})
    order = np.random.default_rng(0).permutation(len(phonons.qpoints))
    table = table_of(phonons, gamma[:, order], qpoints=-phonons.qpoints[order])
    table["frequencies_thz"] = phonons.frequencies_thz[order]
    np.savez(folder.path / "linewidths.npz", **table)
    assert folder.run("lattice-conductivity") == EXIT_OK, folder.output
    assert folder.output["results"]["mesh"] == [5, 5, 5]
    estimate = estimate_conductivity(folder.arrays("phonons.npz"))
    expected = two_channel(phonons, gamma, TEMPERATURES)
    np.testing.assert_allclose(estimate.values[2], expected.total, rtol=1e-5, atol=1e-6)
    # one mesh only: a number without an error bar is not called converged
    records = conductivity_quantities(estimate, None, "test")
    assert all(not q.converged and q.uncertainty is None and "one mesh only" in q.reason for q in records)


def test_smooth_curve_serves_any_mesh(given, phonons, gamma):
    folder = given({"source": "table", "by_frequency": True}, mesh=[6, 6, 6], coarse_mesh=[4, 4, 4])
    np.savez(folder.path / "linewidths.npz", **table_of(phonons, gamma))
    assert folder.run("lattice-conductivity") == EXIT_OK, folder.output
    arrays = folder.arrays("phonons.npz")
    model = umklapp_and_proportional(**MODEL).gamma_thz(arrays["frequencies_thz"], TEMPERATURES)
    # the widths are a function of frequency; local lines in the logarithm follow it to a per cent
    inside = arrays["frequencies_thz"] > 0.6
    np.testing.assert_allclose(arrays["gamma_thz"][:, inside], model[:, inside], rtol=0.02)


@pytest.mark.parametrize(
    ("choice", "change", "words"),
    [
        ({"source": "three-phonon"}, {}, "holds no third order: give linewidths as a table or a model"),
        ({"source": "model"}, {}, "needs its constants"),
        ({"source": "model", "model": {"c2": 3.0}}, {}, "needs c1 or a"),
        ({"source": "table", "table": "absent.npz"}, {}, "no file absent.npz"),
        ({"source": "table"}, {"temperatures": np.array([250.0, 300.0])}, "no linewidths at 200 K, only at 250, 300 K"),
        ({"source": "table"}, {"qpoints": np.zeros((2, 3))}, "does not fit 2 temperatures and 2 q-points"),
        ({"source": "table"}, {"frequencies_thz": 1.3}, "other force constants"),
        ({"source": "table"}, {"frequencies_thz": 4.13567}, "are they in meV"),
        ({"source": "table"}, {"gamma_thz": -1.0}, "finite and not negative"),
        ({"source": "table"}, {"gamma_thz": 1e3}, "If they are right as they are, leave out the check"),
    ],
)
def test_what_is_refused(given, phonons, gamma, choice, change, words):
    folder = given(choice, mesh=[5, 5, 5])
    table = table_of(phonons, gamma)
    for name, value in change.items():
        table[name] = table[name] * value if np.ndim(value) == 0 else value
    np.savez(folder.path / "linewidths.npz", **table)
    assert folder.run("lattice-conductivity") == EXIT_INPUT
    assert words in folder.output["message"]


def test_mesh_is_asked_for_where_nothing_tells_it(given):
    folder = given({"source": "model", "model": MODEL})
    assert folder.run("lattice-conductivity") == EXIT_INPUT
    assert "give the mesh" in folder.output["message"]


def test_imaginary_modes_end_with_a_verdict_and_cost_nothing(make_folder, crystal):
    arrays = crystal_arrays(crystal)
    arrays["fc2_0"] = -arrays["fc2_0"]
    folder = make_folder("soft").give(
        {"temperatures": [300.0], "mesh": [4, 4, 4], "linewidths": {"source": "model", "model": MODEL}}
    )
    np.savez(folder.path / "force_constants.npz", **arrays)
    assert folder.run("lattice-conductivity") == EXIT_OK
    estimate = estimate_conductivity(folder.arrays("phonons.npz"))
    records = conductivity_quantities(estimate, None, "test") + carrier_quantities(estimate, None, "test")
    assert all(not q.converged and "modes are imaginary" in q.reason for q in records)
    assert all(q.value is None for q in records if q.name.startswith("kappa_total"))


def test_overdamped_modes_are_no_ground_for_a_sum(make_folder, crystal):
    """1/tau = 10 w: no mode lives for one oscillation."""
    folder = make_folder("overdamped").give(
        {"temperatures": [300.0], "mesh": [4, 4, 4], "linewidths": {"source": "model", "model": {"a": 10.0}}}
    )
    np.savez(folder.path / "force_constants.npz", **crystal_arrays(crystal))
    assert folder.run("lattice-conductivity") == EXIT_OK
    estimate = estimate_conductivity(folder.arrays("phonons.npz"))
    records = conductivity_quantities(estimate, None, "test") + carrier_quantities(estimate, None, "test")
    assert all(not q.converged and "modes are overdamped" in q.reason for q in records)


def test_phono3py_file(tmp_path, phonons, gamma):
    with h5py.File(tmp_path / "kappa-m555.hdf5", "w") as file:
        names = {
            "gamma": gamma,
            "qpoint": phonons.qpoints,
            "temperature": np.array(TEMPERATURES),
            "frequency": phonons.frequencies_thz,
            "mesh": np.array([5, 5, 5]),
            "gamma_isotope": gamma[0],
        }
        for name, values in names.items():
            file[name] = values
    said = []
    table = read_linewidths(tmp_path / "kappa-m555.hdf5", remark=said.append)
    np.testing.assert_array_equal(table["gamma_thz"], gamma)
    assert table["mesh"].tolist() == [5, 5, 5]
    assert "isotope" in said[0]
    with pytest.raises(ValueError, match="is phono3py's"):
        read_linewidths(tmp_path / "kappa-m555.hdf5", "lifetime", "ps")


def test_lifetimes_in_a_table_become_widths(tmp_path, phonons, gamma):
    arrays = table_of(phonons, 1 / (4 * np.pi * np.maximum(gamma, 1e-6)))
    np.savez(tmp_path / "table.npz", **arrays)
    table = read_linewidths(tmp_path / "table.npz", "lifetime", "ps")
    np.testing.assert_allclose(table["gamma_thz"], np.maximum(gamma, 1e-6), rtol=1e-12)  # one division and its inverse


def test_unreadable_tables(tmp_path):
    with pytest.raises(ValueError, match="there is no file"):
        read_linewidths(tmp_path / "absent.hdf5")
    (tmp_path / "text.hdf5").write_text("not HDF5")
    with pytest.raises(ValueError, match="not a readable HDF5"):
        read_linewidths(tmp_path / "text.hdf5")
    np.savez(tmp_path / "other.npz", gamma_thz=np.zeros((1, 2, 3)))
    with pytest.raises(ValueError, match="holds no qpoints, temperatures"):
        read_linewidths(tmp_path / "other.npz")
