"""Paths in reciprocal space and what of them fits into a supercell."""

import numpy as np
import pytest
from ase.build import bulk

from aiida_iontherm.physics.spectra.q_paths import commensurate_path, even_path, read_corners, supercell_matrix

FCC = bulk("Cu", "fcc", a=4.0).cell.array


def test_corners_in_words_and_numbers():
    parts = read_corners("GX | 1,1/2,0 L", FCC, (2, 0, 0))
    assert [[label for label, _ in part] for part in parts] == [["Γ", "X"], ["(1 0.5 0)", "L"]]
    np.testing.assert_allclose(parts[0][0][1], [2, 0, 0])
    # numbers stand for themselves
    np.testing.assert_allclose(parts[1][0][1], [1, 0.5, 0])
    np.testing.assert_allclose(parts[1][1][1], [2.5, 0.5, 0.5])


@pytest.mark.parametrize(
    ("text", "words"),
    [("GQ", "Q is no point"), ("G", "two corners"), ("", "two corners"), ("1,2 G", "three numbers"), ("1,b,0 G", "no")],
)
def test_no_path(text, words):
    with pytest.raises(ValueError, match=words):
        read_corners(text, FCC)


def test_even_path():
    path = even_path(read_corners("0,0,0 1,0,0 | 2,0,0 2,1,0", np.eye(3)), np.eye(3), 2 * np.pi / 4)
    assert len(path) == 10
    np.testing.assert_allclose(path.distances[:5], 2 * np.pi * np.arange(5) / 4)
    assert path.parts == (0, 5)
    assert [label for _, label in path.ticks] == ["(0 0 0)", "(1 0 0)|(2 0 0)", "(2 1 0)"]
    np.testing.assert_allclose(path.norms, 2 * np.pi * np.linalg.norm(path.points, axis=1))


def test_every_point_on_the_path_is_found():
    """Against all points of the zone, one by one."""
    matrix = 4 * np.array([[-1, 1, 1], [1, -1, 1], [1, 1, -1]])
    corners = read_corners("GXWLG", FCC, (1, 1, 0))
    path = commensurate_path(corners, FCC, matrix @ FCC)
    grid = np.stack(np.meshgrid(*[np.arange(-40, 41)] * 3, indexing="ij"), -1).reshape(-1, 3)
    points = grid @ np.linalg.inv(matrix).T
    wanted = 0
    for (_, start), (_, end) in zip(corners[0][:-1], corners[0][1:], strict=True):
        t = (points - start) @ (end - start) / np.sum((end - start) ** 2)
        on = np.abs(points - start - t[:, None] * (end - start)).max(axis=1) < 1e-9
        wanted += np.count_nonzero(on & (t > -1e-9) & (t < 1 + 1e-9))
    # corners that two segments share come once
    shared = sum(np.abs(matrix @ c - np.rint(matrix @ c)).max() < 1e-9 for _, c in corners[0][1:-1])
    assert len(path) == wanted - shared
    assert np.all(path.off_path < 1e-9)
    ratios = path.vectors @ (matrix @ FCC).T / (2 * np.pi)
    np.testing.assert_allclose(ratios, np.rint(ratios), atol=1e-9)
    assert np.all(np.diff(path.distances) > 0)


def test_the_strain_is_that_of_the_run():
    hot = np.diag([1.01, 1.02, 1.0]) * 12.0
    path = commensurate_path(read_corners("1,0,0 2,0,0", 4 * np.eye(3)), 4 * np.eye(3), hot)
    np.testing.assert_allclose(path.points[:, 0], [1, 4 / 3, 5 / 3, 2])
    np.testing.assert_allclose(path.vectors[:, 0] * hot[0, 0] / (2 * np.pi), [3, 4, 5, 6])


def test_points_beside_the_path():
    corners = read_corners("0.1,0,1 0.1,0,2", np.eye(3))
    with pytest.raises(ValueError, match=r"nearest, \(0 0 1\), is 0.628 1/Angstrom off the path"):
        commensurate_path(corners, np.eye(3), 2 * np.eye(3))
    path = commensurate_path(corners, np.eye(3), 2 * np.eye(3), tolerance=0.7)
    np.testing.assert_allclose(path.points, [[0, 0, 1], [0, 0, 1.5], [0, 0, 2]])
    np.testing.assert_allclose(path.off_path, 0.2 * np.pi)


def test_cells_that_do_not_fit():
    assert supercell_matrix(FCC, 3 * FCC).tolist() == (3 * np.eye(3, dtype=int)).tolist()
    turned = FCC @ np.array([[0.6, 0.8, 0], [-0.8, 0.6, 0], [0, 0, 1]])
    for cell in (turned * 3, FCC * 2.4, FCC * 0.3):
        with pytest.raises(ValueError, match="whole unit cells"):
            supercell_matrix(FCC, cell)
    with pytest.raises(ValueError, match="no volume"):
        supercell_matrix(np.zeros((3, 3)), FCC)
