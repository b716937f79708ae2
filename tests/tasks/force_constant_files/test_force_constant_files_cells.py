"""A supercell as whole primitive cells, and between arrays over it and clusters with lattice vectors."""

from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from aiida_iontherm.tasks.force_constant_files import (
    Clusters,
    ForceConstants,
    Repetition,
    fold,
    largest_difference,
    phonopy_supercell,
    roomy_supercell,
    sum_rule_violation,
    to_phonopy,
    unfold,
)
from aiida_iontherm.tasks.force_constant_files.clusters import members_of

ROUNDING = 1e-13
"""eV/Angstrom^order: some units in the last place of elements up to 240."""


def test_sites_come_back_from_cells(constants: ForceConstants) -> None:
    repetition = constants.repetition
    lattice = repetition.primitive.cell.array
    sites = repetition.primitive.positions[repetition.atom_of] + repetition.cells @ lattice
    between = (sites - repetition.supercell.positions) @ np.linalg.inv(repetition.supercell.cell.array)
    # Positions of about 10 Angstrom in double precision.
    assert np.abs(between - np.rint(between)).max() < 1e-12
    assert np.array_equal(repetition.index(repetition.atom_of, repetition.cells), np.arange(24))


def test_matrix_is_phonopys(crystal: Atoms) -> None:
    matrix = np.array([[1, 1, 0], [-1, 1, 0], [0, 1, 2]])  # not symmetric: rows and columns are told apart
    repetition = Repetition.of(crystal, phonopy_supercell(crystal, matrix))
    assert np.array_equal(repetition.matrix, matrix)
    assert not repetition.is_diagonal
    assert repetition.n_cells == 4


def test_folding_and_unfolding_are_exact(clusters: dict[int, Clusters], constants: ForceConstants) -> None:
    for order in (2, 3):
        array = fold(clusters[order], constants.repetition)
        assert largest_difference(unfold(array, constants.repetition), clusters[order]) < ROUNDING
        # The sum rule holds for the array as for the clusters: only additions happened.
        assert sum_rule_violation(array) < ROUNDING


def test_springs_are_symmetric_under_permutation(clusters: dict[int, Clusters]) -> None:
    """What the other tests take for truth: Phi_ijk = Phi_jik with axes and lattice vectors exchanged."""
    for order, own in clusters.items():
        cells = np.concatenate([np.zeros((len(own), 1, 3), dtype=int), own.cells], axis=1)
        for permutation in permutations(range(order)):
            moved = cells[:, permutation]
            tensors = own.tensors.transpose(0, *(1 + axis for axis in permutation))
            turned = Clusters(own.atoms[:, permutation], moved[:, 1:] - moved[:, :1], tensors)
            assert largest_difference(turned, own) < ROUNDING


def test_images_at_the_same_distance_share() -> None:
    """One atom in a cubic cell, doubled along x: the neighbours at +a and -a are one atom of the supercell."""
    cell = bulk("Cu", "sc", a=3.0)
    repetition = Repetition.of(cell, phonopy_supercell(cell, (2, 1, 1)))
    array = np.zeros((1, 2, 3, 3))
    array[0, 0], array[0, 1] = 2 * np.eye(3), -2 * np.eye(3)
    pairs = unfold(array, repetition)
    assert sorted(map(tuple, pairs.cells[:, 0])) == [(-1, 0, 0), (0, 0, 0), (1, 0, 0)]
    apart = np.any(pairs.cells[:, 0] != 0, axis=1)
    assert np.array_equal(pairs.tensors[apart], [-np.eye(3), -np.eye(3)])
    assert np.array_equal(fold(pairs, repetition), array)


def test_sharing_keeps_sum_rules_of_third_order() -> None:
    """Random third order over a supercell whose faces are all at equal distances, sum rules over j and k imposed."""
    cell = bulk("NaCl", "rocksalt", a=5.6)
    repetition = Repetition.of(cell, phonopy_supercell(cell, (2, 2, 2)))
    array = np.random.default_rng(5).normal(size=(2, 16, 16, 3, 3, 3))
    for axis in (1, 2):
        array -= array.mean(axis=axis, keepdims=True)
    triplets = unfold(array, repetition)
    assert len(triplets) > array[..., 0, 0, 0].size  # there were images to share among
    # 27 x 256 terms of order one, shared among up to 64 images: rounding stays far below 1e-12.
    assert triplets.sum_over_last() < 1e-12
    swapped = Clusters(triplets.atoms[:, [0, 2, 1]], triplets.cells[:, ::-1], triplets.tensors.swapaxes(2, 3))
    assert swapped.sum_over_last() < 1e-12
    assert np.abs(fold(triplets, repetition) - array).max() < 1e-12


def test_third_order_at_wave_vectors_is_phono3pys(constants: ForceConstants, clusters: dict[int, Clusters]) -> None:
    """A sum over clusters and over supercell indices with phases of commensurate points gives the same."""
    repetition, triplets = constants.repetition, clusters[3]
    q = np.array([[0.5, 0.0, 0.5], [0.0, 0.5, 0.5]])  # of the 2 x 2 x 2 supercell
    phases = np.exp(2j * np.pi * np.einsum("mkc,kc->m", triplets.cells, q))
    direct = np.einsum("m,mabc->abc", phases, triplets.tensors)
    array = constants.third_array()
    home = repetition.cells[repetition.p2s]
    steps = repetition.cells[None] - home[:, None]
    left, right = np.exp(2j * np.pi * steps @ q[0]), np.exp(2j * np.pi * steps @ q[1])
    # Sums of some hundred elements up to 20.
    assert np.abs(np.einsum("ij,ik,ijkabc->abc", left, right, array) - direct).max() < 1e-11


def test_another_supercell_has_the_same_phonons(constants: ForceConstants) -> None:
    """Phonons between commensurate points, where only the true range of the force constants counts."""
    crystal = constants.primitive
    larger = constants.in_supercell(phonopy_supercell(crystal, [[3, 1, 0], [0, 2, 0], [0, 0, 3]]))
    point = [[0.13, 0.27, -0.41]]
    found = []
    for model in (constants, larger):
        phonopy = to_phonopy(replace(model, nac=None))
        phonopy.run_qpoints(point)
        found.append(phonopy.qpoints.frequencies)
    # THz; the squares of the frequencies, not they, are rounded.
    assert np.abs(found[0] - found[1]).max() < 1e-10


def test_order_of_atoms_may_change(constants: ForceConstants, clusters: dict[int, Clusters]) -> None:
    shuffled = constants.supercell[np.random.default_rng(1).permutation(24)]
    moved = constants.in_supercell(shuffled)
    assert largest_difference(moved.pairs(), clusters[2]) < ROUNDING
    assert np.abs(moved.third_array() - constants.in_supercell(shuffled).third_array()).max() == 0
    assert largest_difference(moved.triplets(), clusters[3]) < ROUNDING


def test_roomy_supercell_holds_what_it_is_made_for(crystal: Atoms, clusters: dict[int, Clusters]) -> None:
    for order in (2, 3):
        repetition = Repetition.of(crystal, roomy_supercell(crystal, clusters[order].reach(crystal)))
        array = fold(clusters[order], repetition)
        assert largest_difference(unfold(array, repetition), clusters[order]) < ROUNDING


def test_members_of_fourth_order(constants: ForceConstants, clusters: dict[int, Clusters]) -> None:
    """Distances within clusters, from lattice vectors and from the supercell's nearest images, agree."""
    quartets = clusters[4]
    members = members_of(quartets, constants.repetition)
    members[:, 0] = constants.repetition.p2s[members[:, 0]]
    places = constants.primitive.positions[quartets.atoms]
    places[:, 1:] += quartets.cells @ constants.primitive.cell.array
    apart = np.linalg.norm(places[:, 1] - places[:, 0], axis=1)
    nearest = [constants.supercell.get_distance(i, j, mic=True) for i, j in members[:, :2]]
    assert np.abs(apart - nearest).max() < 1e-12  # Angstrom


def test_too_small_a_supercell_is_refused(crystal: Atoms, clusters: dict[int, Clusters]) -> None:
    for order in (2, 3):
        with pytest.raises(ValueError, match=r"supercell of 3 atoms is too small .* take a larger supercell"):
            fold(clusters[order], Repetition.of(crystal, crystal))


def test_images_that_do_not_share_are_refused() -> None:
    """What a writer leaves that gives each image the whole force constant: folded, it would count twice."""
    cell = bulk("Cu", "sc", a=3.0)
    repetition = Repetition.of(cell, phonopy_supercell(cell, (2, 2, 2)))
    pairs = Clusters(np.zeros((2, 2), int), np.array([[[0, 0, 0]], [[1, 0, 0]]]), np.array([np.eye(3), -np.eye(3)]))
    with pytest.raises(ValueError, match="images of an atom fall on each other"):
        fold(pairs, repetition)


def test_an_array_beyond_memory_is_refused() -> None:
    cell = bulk("NaCl", "rocksalt", a=5.6)
    repetition = Repetition.of(cell, cell.repeat((12, 12, 12)))
    single = Clusters(np.zeros((1, 3), int), np.zeros((1, 2, 3), int), np.ones((1, 3, 3, 3)))
    # 2 x 3456 x 3456 x 27 x 8 bytes
    with pytest.raises(ValueError, match=r"third-order force constants over 3456 atoms would fill 5\.2 GB"):
        fold(single, repetition)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda s: s[:-1], r"8 primitive cells of 3 atoms by its lattice, but 23 atoms"),
        (lambda s: s[[*range(1, 24), 1]], r"two atoms of the supercell are on one site"),
        (lambda s: scaled(s, 1.01), r"lattice vectors of the supercell are not sums .*off by 0\.0"),
        (lambda s: species(s, 5, "Na"), r"has Na where the primitive cell has Cs \(atom 5, 1 in all\)"),
        (lambda s: pushed(s, 7, 0.2), r"not a repetition of the primitive cell: atom 7 \(Cs\) is 0\.2 Angstrom"),
        (lambda s: Atoms(s.symbols, s.positions), r"supercell needs atoms and three lattice vectors"),
    ],
)
def test_cells_that_do_not_fit_are_refused(crystal: Atoms, supercell: Atoms, spoil, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Repetition.of(crystal, spoil(supercell.copy()))


def test_a_glass_is_refused(crystal: Atoms, supercell: Atoms) -> None:
    glass = supercell.copy()
    glass.positions = np.random.default_rng(0).uniform(size=(24, 3)) @ glass.cell.array
    with pytest.raises(ValueError, match="not a snapshot, a relaxed supercell or a glass"):
        Repetition.of(crystal, glass)


def test_tolerance_of_sites_can_be_given(crystal: Atoms, supercell: Atoms) -> None:
    moved = pushed(supercell.copy(), 7, 0.01)
    with pytest.raises(ValueError, match="not a repetition"):
        Repetition.of(crystal, moved)
    assert Repetition.of(crystal, moved, tolerance=0.02).n_cells == 8


def scaled(atoms: Atoms, factor: float) -> Atoms:
    atoms.set_cell(atoms.cell.array * factor, scale_atoms=True)
    return atoms


def species(atoms: Atoms, index: int, symbol: str) -> Atoms:
    atoms.symbols[index] = symbol
    return atoms


def pushed(atoms: Atoms, index: int, by: float) -> Atoms:
    atoms.positions[index, 0] += by
    return atoms
