import numpy as np
import pytest

from aiida_iontherm.physics.lattice.displacements import displacements
from aiida_iontherm.physics.lattice.mode_patterns import alignment_distribution, share_distribution
from aiida_iontherm.physics.lattice.modes import projected_dos
from aiida_iontherm.physics.lattice.sites import SpaceGroup

EDGES = np.linspace(0, 1, 51)


def test_share_distribution_counts_all_modes(wurtzite_irreducible):
    frequencies, shares = np.linspace(-1, 10, 45), np.linspace(0, 1, 201)
    histogram = share_distribution(wurtzite_irreducible, [0, 1], frequencies, shares)
    assert histogram.sum() == pytest.approx(12, rel=1e-12)  # 3n
    # The first moment is the projected density of states: three modes per atom, half a bin of 0.005 at the worst.
    silver = histogram.sum(axis=0) @ (shares[:-1] + shares[1:]) / 2
    assert silver == pytest.approx(6.0, abs=12 * 0.0025)
    centre = (frequencies[:-1] + frequencies[1:]) / 2
    share_in_bin = histogram @ (shares[:-1] + shares[1:]) / 2
    density = projected_dos(wurtzite_irreducible, centre, 0.25)["Ag"]
    # Where the histogram has its weight, the smeared density of the same modes has its own.
    assert share_in_bin @ centre / share_in_bin.sum() == pytest.approx(density @ centre / density.sum(), rel=0.03)


def test_alignment_from_the_irreducible_points(wurtzite, wurtzite_everywhere, wurtzite_irreducible):
    group = SpaceGroup.from_phonopy(wurtzite)
    # Edges away from 0, 1/4, 1/3, 1/2, 1, where symmetry puts many modes to one side or the other by rounding.
    edges = [0.0, 0.03, 0.17, 0.41, 0.63, 0.87, 1.0]
    irreducible = alignment_distribution(wurtzite_irreducible, [0], [0, 0, 1], edges, group)
    everywhere = alignment_distribution(wurtzite_everywhere, [0], [0, 0, 1], edges)
    assert irreducible @ np.diff(edges) == pytest.approx(1.0, rel=1e-12)
    # Degenerate modes come in another basis at other points of a star, and sort into other bins: a few per cent.
    np.testing.assert_allclose(irreducible, everywhere, atol=0.1 * everywhere.max())


def test_alignment_follows_the_ellipsoid(wurtzite, wurtzite_everywhere):
    """Per frequency, the mean of cos^2 over the modes of an atom weighted by |e|^2 is the share of U along p."""
    phonons = wurtzite_everywhere
    low = (0.05, 1.0)
    edges = np.linspace(0, 1, 401)
    density = alignment_distribution(phonons, [0], [0, 0, 1], edges, frequencies_thz=low)
    mean = density @ ((edges[:-1] + edges[1:]) / 2) * (edges[1] - edges[0])
    counted = (phonons.frequencies_thz > low[0]) & (phonons.frequencies_thz < low[1])
    first = phonons.eigenvectors[:, :3]
    along, whole = np.abs(first[:, 2]) ** 2, np.sum(np.abs(first) ** 2, axis=1)
    # Half a bin.
    assert mean == pytest.approx(along[counted].sum() / whole[counted].sum(), abs=0.5 / 400)
    every = alignment_distribution(phonons, [0], [0, 0, 1], edges)
    # All modes together are complete: each atom moves alike in all directions.
    assert every @ ((edges[:-1] + edges[1:]) / 2) / 400 == pytest.approx(1 / 3, abs=0.5 / 400)
    tensor = displacements(phonons, [300.0]).tensors_A2[0, 0]
    # The soft modes decide U.
    assert (mean > 1 / 3) == (tensor[2, 2] > np.trace(tensor) / 3)


def test_bad_input_is_refused(wurtzite_everywhere):
    with pytest.raises(ValueError, match="lies in the range"):
        alignment_distribution(wurtzite_everywhere, [0], [0, 0, 1], EDGES, frequencies_thz=(100.0, 200.0))
    with pytest.raises(ValueError, match="not zero"):
        alignment_distribution(wurtzite_everywhere, [0], [0, 0, 0], EDGES)
