"""The basis against the tables in MLIP's own potential files, and against rotations."""

from pathlib import Path

import numpy as np
import pytest
from motep.io.mlip.mtp import read_mtp
from scipy.spatial.transform import Rotation

from aiida_iontherm.physics.mtp.basis import BasisTables, basis_tables
from aiida_iontherm.physics.mtp.contractions import connected_contractions

# A. V. Shapeev's files as MLIP distributes them; also read from the files below.
SCALARS = {2: 1, 4: 2, 6: 5, 8: 9, 10: 16, 12: 29, 14: 52, 16: 92, 18: 163, 20: 288, 22: 500}


def neighbourhood(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(8, 3))


def template(shared_data: Path, level: int) -> BasisTables:
    data = read_mtp(shared_data / "mtp" / "fitting" / "crystals" / "cubic" / f"{level:02d}" / "pot.mtp")
    return BasisTables(
        basic=data.alpha_index_basic,
        times=data.alpha_index_times,
        scalars=data.alpha_moment_mapping,
        n_moments=data.alpha_moments_count,
        n_radial=data.radial_funcs_count,
    )


@pytest.mark.parametrize("level", SCALARS)
def test_number_of_scalars(shared_data, level):
    tables = basis_tables(level)
    assert len(tables.scalars) == SCALARS[level] == len(template(shared_data, level).scalars)
    assert len(set(tables.scalars.tolist())) == SCALARS[level]
    assert tables.n_radial == template(shared_data, level).n_radial


@pytest.mark.parametrize("level", SCALARS)
def test_scalars_are_those_of_the_files(shared_data, scalars, level):
    """One to one: a scalar of the file and one of ours agree on every neighbourhood."""
    theirs = np.array([scalars(template(shared_data, level), neighbourhood(seed)) for seed in range(4)])
    ours = np.array([scalars(basis_tables(level), neighbourhood(seed)) for seed in range(4)])
    # Rounding of sums of up to thousands of products; different scalars differ by far more than 1e-9 of their size.
    scale = np.abs(theirs).max(axis=0)
    same = np.all(np.abs(theirs[:, :, None] - ours[:, None, :]) <= 1e-9 * scale[:, None], axis=0)
    np.testing.assert_array_equal(same.sum(axis=0), 1)
    np.testing.assert_array_equal(same.sum(axis=1), 1)


@pytest.mark.parametrize("level", [8, 12, 16])
def test_scalars_do_not_see_rotations_reflections_or_the_order_of_neighbours(scalars, level):
    vectors = neighbourhood(5)
    rotation = Rotation.random(random_state=6).as_matrix()
    reference = scalars(basis_tables(level), vectors)
    for turned in (vectors @ rotation, -vectors @ rotation, vectors[::-1]):
        # Rounding, magnified by the cancellation of terms up to a hundred times the sum.
        np.testing.assert_allclose(
            scalars(basis_tables(level), turned), reference, rtol=1e-9, atol=1e-12 * abs(reference).max()
        )


def test_scalars_are_independent(scalars):
    """On more neighbourhoods than scalars the matrix of values has full rank: none is a combination of others."""
    tables = basis_tables(12)
    values = np.array([scalars(tables, neighbourhood(seed)) for seed in range(3 * len(tables.scalars))])
    values /= np.linalg.norm(values, axis=0)
    singular = np.linalg.svd(values, compute_uv=False)
    # A dependent scalar would give a singular value at rounding, about 1e-16.
    assert singular[-1] > 1e-9 * singular[0]


def test_connected_contractions_of_level_eight_by_hand():
    """M_mu,0 (mu = 0, 1), M_01.M_01, M_02:M_02: the connected ones of level 8."""
    moments = [graph[0] for graph in connected_contractions(8)]
    assert sorted(moments) == sorted([((0, 0),), ((1, 0),), ((0, 1), (0, 1)), ((0, 2), (0, 2))])


@pytest.mark.parametrize("level", [0, -2, 7])
def test_impossible_levels(level):
    with pytest.raises(ValueError, match="even number"):
        basis_tables(level)
