import numpy as np
import phonopy
import pytest

from aiida_iontherm.physics.lattice.sites import SpaceGroup, equivalent_sites


def test_conventional_multiplicities(cucl, wurtzite):
    # International Tables: 2b of P6_3mc for wurtzite; of F-43m for zinc blende two positions a quarter of the diagonal
    # apart, here b and c (the origin is a matter of choice).
    assert [site.label for site in equivalent_sites(cucl)] == ["Cl 4b", "Cu 4c"]
    assert [(site.label, len(site.atoms)) for site in equivalent_sites(wurtzite)] == [("Ag 2b", 2), ("I 2b", 2)]


def test_sites_of_one_species_are_numbered(shared_data):
    """The Cu of Cs3Cu2I5 and the like: several sites with the same Wyckoff letter."""
    crystal = phonopy.load(
        unitcell_filename=shared_data / "phonondb" / "mp-23481" / "POSCAR-unitcell",
        supercell_matrix=np.eye(3),
        primitive_matrix="P",
        produce_fc=False,
        log_level=0,
    )
    sites = equivalent_sites(crystal)
    labels = [site.label for site in sites]
    assert len(set(labels)) == len(labels)
    assert {"Cu1 4c", "Cu2 4c"} < set(labels)
    assert sorted(atom for site in sites for atom in site.atoms) == list(range(len(crystal.primitive)))


def test_operations_permute_atoms_of_a_site(wurtzite):
    group = SpaceGroup.from_phonopy(wurtzite)
    assert group.rotations.shape == (12, 3, 3)  # C_6v
    np.testing.assert_array_equal(np.sort(group.images, axis=1), np.tile(np.arange(4), (12, 1)))
    for site in equivalent_sites(wurtzite):
        atoms = list(site.atoms)
        assert set(group.images[:, atoms].ravel()) == set(atoms)


def test_averaged_tensors_have_the_symmetry_of_the_sites(wurtzite):
    group = SpaceGroup.from_phonopy(wurtzite)
    tensors = np.random.default_rng(1).normal(size=(2, 4, 3, 3))
    tensors += tensors.swapaxes(-1, -2)
    average = group.average_atom_tensors(tensors)
    # Rounding of matrices from lattice constants with 16 digits.
    np.testing.assert_allclose(group.average_atom_tensors(average), average, atol=1e-7)
    for tensor in average.reshape(-1, 3, 3):
        # 3m along z: xx = yy, nothing off the diagonal.
        np.testing.assert_allclose(tensor, np.diag([tensor[0, 0], tensor[0, 0], tensor[2, 2]]), atol=1e-7)
    traces = np.trace(tensors, axis1=-2, axis2=-1).sum(axis=1)
    np.testing.assert_allclose(np.trace(average, axis1=-2, axis2=-1).sum(axis=1), traces, rtol=1e-7)


def test_bad_input_is_refused(wurtzite):
    with pytest.raises(ValueError, match="need"):
        SpaceGroup.from_phonopy(wurtzite).average_atom_tensors(np.zeros((3, 3, 3)))
    bare = phonopy.Phonopy(wurtzite.unitcell, np.eye(3), primitive_matrix="P", is_symmetry=False)
    with pytest.raises(ValueError, match="without symmetry"):
        equivalent_sites(bare)
