import numpy as np
import pytest

from aiida_iontherm.physics.lattice import (
    Phonons,
    average_frequency,
    average_mobile_frequency,
    direction_projected_dos,
    participation_ratio,
    projected_dos,
)
from aiida_iontherm.physics.lattice.modes import atom_shares, average_atom_frequency, site_projected_dos
from aiida_iontherm.physics.lattice.sites import SpaceGroup, equivalent_sites


@pytest.fixture(scope="module")
def phonons(cucl) -> Phonons:
    return Phonons.from_phonopy(cucl, (5, 5, 5))


def test_participation_ratio_runs_from_one_atom_to_all():
    one_atom = np.zeros(12)
    one_atom[4] = 1
    rigid = np.tile([0.0, 0.0, 1.0], 4) / 2
    two_atoms = np.zeros(12)
    two_atoms[[0, 3]] = np.sqrt(0.5)
    vectors = np.stack([one_atom, rigid, two_atoms], axis=1)[None]
    np.testing.assert_allclose(participation_ratio(vectors), [[0.25, 1.0, 0.5]], rtol=1e-12)


def test_participation_ratio_of_displacements_is_one_for_a_translation():
    masses = np.array([1.0, 4.0, 100.0])
    rigid = np.zeros((9, 1))
    rigid[2::3, 0] = np.sqrt(masses / masses.sum())
    assert participation_ratio(rigid[None], masses)[0, 0] == pytest.approx(1.0, rel=1e-12)
    # The energy is almost all on the heavy atom: 105^2/(3 (1 + 16 + 10^4)).
    assert participation_ratio(rigid[None])[0, 0] == pytest.approx(105**2 / (3 * 10017), rel=1e-12)


def test_equal_masses_change_nothing(phonons):
    plain = participation_ratio(phonons.eigenvectors)
    np.testing.assert_allclose(participation_ratio(phonons.eigenvectors, [7.0, 7.0]), plain, rtol=1e-12)


def test_atoms_of_a_mode_add_up_to_one(phonons):
    # Eigenvectors of a unitary matrix.
    np.testing.assert_allclose(atom_shares(phonons.eigenvectors).sum(axis=1), 1.0, rtol=1e-12)


def test_sites_add_up_to_their_species(wurtzite, wurtzite_irreducible):
    sites = equivalent_sites(wurtzite)
    grid = np.linspace(-1, 8, 301)
    by_site = site_projected_dos(wurtzite_irreducible, sites, grid, 0.1)
    by_species = projected_dos(wurtzite_irreducible, grid, 0.1)
    assert list(by_site) == ["Ag 2b", "I 2b"]
    np.testing.assert_allclose(by_site["Ag 2b"], by_species["Ag"], atol=1e-12)
    np.testing.assert_allclose(by_site["I 2b"], by_species["I"], atol=1e-12)


@pytest.mark.parametrize("direction", [[0, 0, 1], [1, 0, 0], [1.0, 2.0, 3.0]])
def test_direction_at_one_atom_from_the_irreducible_points(
    direction, wurtzite, wurtzite_everywhere, wurtzite_irreducible
):
    """At an irreducible point another equivalent atom may move, or another way: the space group makes up for it."""
    group, grid = SpaceGroup.from_phonopy(wurtzite), np.linspace(-1, 8, 101)
    for atom in range(4):
        expected = average_atom_frequency(wurtzite_everywhere, [atom], direction)
        found = average_atom_frequency(wurtzite_irreducible, [atom], direction, group)
        # Symmetry of the force constants from finite displacements; without the group the error is 100 times larger.
        assert found == pytest.approx(expected, rel=1e-5)
        density = direction_projected_dos(wurtzite_irreducible, [atom], direction, grid, 0.1, group)
        full = direction_projected_dos(wurtzite_everywhere, [atom], direction, grid, 0.1)
        np.testing.assert_allclose(density, full, atol=1e-4 * full.max())
        whole = average_atom_frequency(wurtzite_irreducible, [atom], space_group=group)
        assert whole == pytest.approx(average_atom_frequency(wurtzite_everywhere, [atom]), rel=1e-5)


def test_the_space_group_is_needed_at_irreducible_points(wurtzite_everywhere, wurtzite_irreducible):
    right = average_atom_frequency(wurtzite_everywhere, [0], [1.0, 2.0, 3.0])
    assert abs(average_atom_frequency(wurtzite_irreducible, [0], [1.0, 2.0, 3.0]) / right - 1) > 1e-3


def test_density_of_states_counts_all_modes(phonons):
    grid = np.linspace(-1, 10, 2001)
    density = projected_dos(phonons, grid, 0.05)
    assert set(density) == {"Cu", "Cl"}
    # Each atom has three modes. The grid resolves the Gaussians (0.0055 against 0.05 THz) and holds their tails.
    for species in density.values():
        assert np.trapezoid(species, grid) == pytest.approx(3.0, rel=1e-6)


def test_densities_along_three_axes_add_up_to_the_density_of_the_atom(phonons):
    grid = np.linspace(-1, 10, 301)
    copper = phonons.symbols.index("Cu")
    parts = [direction_projected_dos(phonons, [copper], axis, grid, 0.1) for axis in 2.0 * np.eye(3)]
    np.testing.assert_allclose(sum(parts), projected_dos(phonons, grid, 0.1)["Cu"], atol=1e-12)


def test_mean_frequency_is_that_of_the_density_of_states(phonons):
    grid = np.linspace(-1, 10, 4001)
    copper = projected_dos(phonons, grid, 0.01)["Cu"]
    # Zero modes at Gamma (3 of 750) count at zero for one and not for the other, only half their Gaussian at f > 0.
    assert average_mobile_frequency(phonons, "Cu") == pytest.approx(average_frequency(grid, copper), rel=5e-3)
    # The heavier ion moves in the slower modes.
    assert average_mobile_frequency(phonons, "Cu") < average_mobile_frequency(phonons, "Cl")


def test_mean_frequency_along_a_jump_is_isotropic_in_a_cubic_crystal(phonons, cucl):
    axis = np.array([0, 1, 2, -2, -1]) / 5
    points = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    everywhere = Phonons.from_phonopy(cucl, qpoints=points)
    jumps = [average_mobile_frequency(everywhere, "Cu", jump) for jump in ([1, 0, 0], [1, 1, 1], [2, -1, 0])]
    # Symmetry of the force constants from finite displacements.
    np.testing.assert_allclose(jumps, average_mobile_frequency(phonons, "Cu"), rtol=1e-4)


def test_bad_input_is_refused(phonons):
    with pytest.raises(ValueError, match="no Li among"):
        average_mobile_frequency(phonons, "Li")
    with pytest.raises(ValueError, match="smearing must be positive"):
        projected_dos(phonons, [0.0, 1.0], 0.0)
    with pytest.raises(ValueError, match="not zero"):
        direction_projected_dos(phonons, [0], [0, 0, 0], [0.0, 1.0], 0.1)
    with pytest.raises(ValueError, match="one positive mass"):
        participation_ratio(phonons.eigenvectors, [1.0])
    with pytest.raises(ValueError, match="empty above zero"):
        average_frequency([-1.0, 0.0], [1.0, 1.0])
