"""Distinct hops of lattices whose neighbours are known, and paths that go the right way."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, make_supercell
from ase.geometry import find_mic
from ase.spacegroup import crystal

from aiida_iontherm.physics.ions import (
    distinct_hops,
    distinct_sites,
    end_points,
    first_path,
    hop_between,
    ion_at,
    moving_ion,
    path_of_frames,
)

FCC = bulk("Cu", "fcc", a=3.6, cubic=True)
ZINCBLENDE = crystal(["Cu", "I"], [(0, 0, 0), (0.25, 0.25, 0.25)], spacegroup=216, cellpar=[6.0] * 3 + [90] * 3)


@pytest.mark.parametrize(
    ("atoms", "reach", "lengths", "multiplicities"),
    [
        # bonds per cell: half of atoms times neighbours
        (FCC, 3.0, [3.6 / np.sqrt(2)], [24]),
        (bulk("Cu", "fcc", a=3.6), 3.7, [3.6 / np.sqrt(2), 3.6], [6, 3]),
        (bulk("Fe", "bcc", a=2.87, cubic=True), 2.6, [2.87 * np.sqrt(3) / 2], [8]),
        (bulk("Fe", "bcc", a=2.87), 3.0, [2.87 * np.sqrt(3) / 2, 2.87], [4, 3]),
        # hexagonal close packing off the ideal ratio: within the layer and between layers
        (bulk("Mg", "hcp", a=3.2, c=5.4), 3.4, [3.2, np.hypot(3.2 / np.sqrt(3), 2.7)], [6, 6]),
        (bulk("NaCl", "rocksalt", a=5.64, cubic=True), 4.2, [5.64 / np.sqrt(2)], [24]),
        # tetragonal: the faces of the cell differ from its edges
        (Atoms("Li", cell=[3.0, 3.0, 4.0], pbc=True), 4.1, [3.0, 4.0], [2, 1]),
    ],
)
def test_neighbours_of_known_lattices(atoms, reach, lengths, multiplicities):
    hops = distinct_hops(atoms, atoms.get_chemical_symbols()[0], reach)
    np.testing.assert_allclose([hop.distance_A for hop in hops], lengths, rtol=1e-9)
    assert [hop.multiplicity for hop in hops] == multiplicities


def test_the_choice_of_cell_changes_nothing_but_numbers_per_cell():
    odd = make_supercell(bulk("Cu", "fcc", a=3.6), [[1, 1, 0], [0, 1, 2], [1, 0, 1]])
    odd.positions += [0.3, -5.0, 11.0]
    hops = distinct_hops(odd, "Cu", 3.7)
    np.testing.assert_allclose([hop.distance_A for hop in hops], [3.6 / np.sqrt(2), 3.6], rtol=1e-6)
    assert [hop.multiplicity for hop in hops] == [6 * len(odd), 3 * len(odd)]


def test_hops_over_another_site_are_made_of_shorter_ones():
    """Twice the nearest distance in fcc leads over an atom; the third neighbour does not."""
    lengths = [hop.distance_A for hop in distinct_hops(bulk("Cu", "fcc", a=3.6), "Cu", 5.1)]
    np.testing.assert_allclose(lengths, np.array([1 / np.sqrt(2), 1, np.sqrt(1.5)]) * 3.6, rtol=1e-9)


def test_sites_of_different_kinds_give_hops_of_their_own():
    """A chain of two kinds of lithium: the short and the long step between them, told apart by their surroundings."""
    atoms = Atoms("LiLiF", cell=[6.0, 9.0, 9.0], positions=[[0, 0, 0], [2.5, 0, 0], [4.0, 3.0, 0.0]], pbc=True)
    hops = distinct_hops(atoms, "Li", 4.0)
    assert [hop.label for hop in hops] == ["Li1-Li2_2.50", "Li1-Li2_3.50"]
    assert set(distinct_sites(atoms, "Li")) == {"Li1", "Li2"}
    assert [hop.multiplicity for hop in hops] == [1, 1]


def test_empty_sites_come_with_all_their_copies():
    """Octahedral holes of fcc, one given: hops of length a/2 from each ion to six of them; none from hole to hole."""
    hops = distinct_hops(FCC, "Cu", 2.0, empty_sites=[(0.5, 0.5, 0.5)])
    assert [(hop.label, hop.to_vacancy, hop.multiplicity) for hop in hops] == [("Cu-empty_1.80", False, 24)]
    # the second neighbour at a is then reached over the hole
    assert all(hop.distance_A < 3.5 for hop in distinct_hops(FCC, "Cu", 3.7, empty_sites=[(0.5, 0.5, 0.5)]))


def test_ends_of_a_hop_into_a_vacancy():
    (hop,) = distinct_hops(FCC, "Cu", 3.0)
    start, end, ion = end_points(FCC, (2, 2, 2), hop)
    assert len(start) == len(end) == 31
    moved = np.linalg.norm(end.positions - start.positions, axis=1)
    assert np.flatnonzero(moved).tolist() == [ion]
    assert moved[ion] == pytest.approx(hop.distance_A)
    # the ion ends where an atom was: the crystal at the end is complete but for the site it left
    full = FCC.repeat(2)
    for atoms, missing in ((start, hop.origin_A + hop.vector_A), (end, hop.origin_A)):
        distances = np.linalg.norm(find_mic(full.positions - missing, full.cell, pbc=True)[0], axis=1)
        others = np.delete(full.positions, distances.argmin(), axis=0)
        apart = find_mic((others[:, None] - atoms.positions[None]).reshape(-1, 3), full.cell, pbc=True)[1]
        assert apart.reshape(31, 31).min(axis=1).max() < 1e-9


def test_the_ion_is_found_when_the_vacancy_comes_before_it():
    """Taking out an atom moves the numbers of those behind it."""
    hop = hop_between(FCC, "Cu", (0.5, 0.5, 0), (0, 0, 0))
    start, end, ion = end_points(FCC, (2, 2, 2), hop)
    np.testing.assert_allclose(start.positions[ion], [1.8, 1.8, 0], atol=1e-9)
    np.testing.assert_allclose(end.positions[ion], [0, 0, 0], atol=1e-9)


def test_ends_of_a_hop_to_an_empty_site():
    (hop,) = distinct_hops(FCC, "Cu", 2.0, empty_sites=[(0.5, 0.5, 0.5)])
    start, end, ion = end_points(FCC, (2, 2, 2), hop)
    assert len(start) == 32
    assert np.linalg.norm(end.positions[ion] - start.positions[ion]) == pytest.approx(1.8)


def test_given_hops():
    hop = hop_between(FCC, "Cu", (0.02, 0, 0), (0.5, 0.5, 0))
    assert hop.to_vacancy
    assert hop.multiplicity is None
    np.testing.assert_allclose(hop.vector_A, [1.8, 1.8, 0], atol=1e-12)
    over_the_border = hop_between(FCC, "Cu", (0, 0, 0), (-0.5, 0, 0.5))
    np.testing.assert_allclose(over_the_border.vector_A, [-1.8, 0, 1.8], atol=1e-12)
    hole = hop_between(FCC, "Cu", (0, 0, 0), (0.5, 0, 0))
    assert not hole.to_vacancy
    assert ion_at(FCC, "Cu", (1.5, -0.5, 0)) == ion_at(FCC, "Cu", (0.5, 0.5, 0))


def test_first_path_goes_around_atoms():
    """Straight from vacancy to vacancy in zincblende; to the hole behind an anion the ion bends around it."""
    (hop,) = distinct_hops(FCC, "Cu", 3.0)
    start, end, ion = end_points(FCC, (2, 2, 2), hop)
    path = first_path(start, end, 3, ion)
    assert len(path) == 5
    np.testing.assert_allclose(path[0].positions, start.positions)
    np.testing.assert_allclose(path[-1].positions, end.positions)
    # by symmetry it stays on the line through the middle
    np.testing.assert_allclose(path[2].positions[ion], (start.positions[ion] + end.positions[ion]) / 2, atol=1e-6)
    hop = hop_between(ZINCBLENDE, "Cu", (0, 0, 0), (0.5, 0.5, 0.5))  # iodine sits half way
    start, end, ion = end_points(ZINCBLENDE, (2, 2, 2), hop)
    start.positions[ion] += [0.05, 0, -0.05]  # off the line, on which all sides are equal
    closest = min(
        np.sort(find_mic(image.positions - image.positions[ion], image.cell, pbc=True)[1])[1]
        for image in first_path(start, end, 5, ion)
    )
    straight = np.linspace(start.positions[ion], end.positions[ion], 7)
    iodine = start.positions[start.symbols == "I"]
    assert np.linalg.norm(straight[3] - iodine, axis=1).min() < 0.2
    assert closest > 1.0


def test_path_of_wrapped_frames():
    cell = np.diag([6.0, 6.0, 6.0])
    frames = []
    for x in (5.0, 5.5, 0.5, 1.0):  # over the border
        frames.append(Atoms("LiF", positions=[[x, 0, 0], [3, 3, 3]], cell=cell, pbc=True))
    path = path_of_frames(frames, 3)
    np.testing.assert_allclose([image.positions[0, 0] for image in path], [5, 5.5, 6, 6.5, 7], atol=1e-12)
    assert moving_ion(path[0], path[-1], "Li") == 0


def test_bad_input():
    with pytest.raises(ValueError, match=r"nearest sites are 2\.55 apart"):
        distinct_hops(FCC, "Cu", 2.0)
    with pytest.raises(ValueError, match="no Ag in Cu4"):
        distinct_hops(FCC, "Ag", 3.0)
    with pytest.raises(ValueError, match="positive length"):
        distinct_hops(FCC, "Cu", 0.0)
    with pytest.raises(ValueError, match="up to 12 Angstrom, not 30"):
        distinct_hops(FCC, "Cu", 30.0)
    with pytest.raises(ValueError, match="on top of each other"):
        distinct_hops(Atoms("Li2", cell=[3, 3, 3], pbc=True), "Li", 4.0)
    broken = FCC.copy()
    broken.positions[1, 2] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        distinct_hops(broken, "Cu", 3.0)
    with pytest.raises(ValueError, match="NaN"):
        hop_between(broken, "Cu", (0, 0, 0), (0.5, 0.5, 0))
    with pytest.raises(ValueError, match="not empty"):
        distinct_hops(FCC, "Cu", 3.0, empty_sites=[(0.5, 0.45, 0.0)])
    with pytest.raises(ValueError, match="same site"):
        hop_between(FCC, "Cu", (0, 0, 0), (0.01, 0, 0))
    with pytest.raises(ValueError, match=r"no Cu within 0.5 Angstrom of \(0.250"):
        hop_between(FCC, "Cu", (0.25, 0.25, 0.25), (0, 0, 0))
    with pytest.raises(ValueError, match="from I, on no site"):
        hop_between(ZINCBLENDE, "Cu", (0, 0, 0), (0.25, 0.25, 0.22))
    (hop,) = distinct_hops(FCC, "Cu", 3.0)
    with pytest.raises(ValueError, match="at least 2 x 2 x 2"):
        end_points(FCC, (2, 1, 2), hop)
    two = [FCC.copy(), FCC.copy()]
    with pytest.raises(ValueError, match="are the same"):
        path_of_frames(two, 3)
    with pytest.raises(ValueError, match="two frames"):
        path_of_frames(two[:1], 3)
    other = FCC.copy()
    other.symbols[0] = "Ag"
    with pytest.raises(ValueError, match="other atoms"):
        path_of_frames([FCC, other], 3)
    wide = FCC.copy()
    wide.set_cell(wide.cell * 1.1)
    with pytest.raises(ValueError, match="another cell"):
        path_of_frames([FCC, wide], 3)
