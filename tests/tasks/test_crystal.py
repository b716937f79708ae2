"""A crystal packed into arrays and unpacked is the same crystal."""

import numpy as np
import phonopy as phonopy_package
import pytest

from aiida_iontherm.tasks.crystal import crystal_arrays, phono3py_of, phonopy_of
from aiida_iontherm.tasks.files import read_npz, write_npz
from aiida_iontherm.tasks.phonopy_directory import load_phono3py_directory, load_phonopy_directory

QPOINTS = [[0.0, 0.0, 0.0], [0.5, 0.0, 0.0], [0.1, 0.2, 0.3]]


def test_harmonic_with_charges_and_masses(shared_data, tmp_path):
    crystal = load_phonopy_directory(shared_data / "phonondb" / "mp-22862", nac=True)
    crystal.masses = [23.5, 36.0]
    write_npz(tmp_path / "crystal.npz", crystal_arrays(crystal))
    again = phonopy_of(read_npz(tmp_path / "crystal.npz"))
    for one in (crystal, again):
        one.run_qpoints(QPOINTS, with_eigenvectors=False)
    # the same numbers through the same code
    np.testing.assert_allclose(
        again.run_qpoints(QPOINTS).frequencies, crystal.run_qpoints(QPOINTS).frequencies, rtol=0, atol=1e-10
    )
    assert again.nac_params is not None


def test_settings_of_the_ewald_sum(shared_data, tmp_path):
    crystal = load_phonopy_directory(shared_data / "phonondb" / "mp-22862", nac=True)
    narrow = crystal.nac_params | {"Lambda": 0.15, "G_cutoff": 1.0}
    results = []
    for params in (crystal.nac_params, narrow):
        crystal.nac_params = params
        write_npz(tmp_path / "crystal.npz", crystal_arrays(crystal))
        again = phonopy_of(read_npz(tmp_path / "crystal.npz"))
        results.append(again.run_qpoints(QPOINTS).frequencies)
        np.testing.assert_allclose(results[-1], crystal.run_qpoints(QPOINTS).frequencies, rtol=0, atol=1e-10)
    # another split of short and long range interpolates in another way, if little in so large a supercell
    assert np.abs(results[0] - results[1]).max() > 1e-6


def test_third_order(shared_data, tmp_path):
    crystal = load_phono3py_directory(shared_data / "force_sets" / "Si-PBE")
    write_npz(tmp_path / "crystal.npz", crystal_arrays(crystal))
    again = phono3py_of(read_npz(tmp_path / "crystal.npz"))
    np.testing.assert_array_equal(again.fc3, crystal.fc3)
    np.testing.assert_array_equal(again.fc2, crystal.fc2)
    np.testing.assert_allclose(again.primitive.cell, crystal.primitive.cell, atol=1e-12)


def test_second_order_in_a_supercell_of_its_own(shared_data):
    silicon = load_phono3py_directory(shared_data / "force_sets" / "Si-PBE")
    arrays = crystal_arrays(silicon)
    del arrays["fc3_0"]
    harmonic = phonopy_of(arrays)
    large = phonopy_package.Phonopy(harmonic.unitcell, np.diag([3, 3, 3]), primitive_matrix="F")
    arrays |= {"phonon_supercell": np.diag([3, 3, 3]), "fc2_0": np.zeros((len(large.supercell),) * 2 + (3, 3))}
    assert len(phonopy_of(arrays).supercell) == 216
    arrays["fc2_0"] = np.zeros((64, 64, 3, 3))
    with pytest.raises(ValueError, match="fc2 has shape"):
        phonopy_of(arrays)


def test_nothing_to_pack(shared_data):
    crystal = load_phonopy_directory(shared_data / "phonondb" / "mp-22862")
    bare = phonopy_package.Phonopy(crystal.unitcell, crystal.supercell_matrix, primitive_matrix="F")
    with pytest.raises(ValueError, match="no second-order"):
        crystal_arrays(bare)
