import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from tetrahedra import BOX, CORNERS, brownian, jumping, small_turns, trajectory

from aiida_iontherm.physics.ions import polyanion_rotation, rotation_quantities
from aiida_iontherm.physics.ions.polyanion_rotation import best_rotations, equivalent_rotations

CELL = BOX * np.eye(3)
DT_FS = 50.0


@pytest.fixture(scope="module")
def rotor():
    """Rotational diffusion with D_r = 0.2/ps."""
    return polyanion_rotation(*_arguments(brownian(16, 3000, 2 * 0.2 * 0.05, seed=1)))


@pytest.fixture(scope="module")
def jumps():
    turned, when = jumping(12, 3000, 0.02 * 0.05, 6.0, seed=2)
    return polyanion_rotation(*_arguments(turned)), when


def _arguments(turned, noise=0.02):
    positions, groups, symbols = trajectory(turned, seed=3, noise=noise)
    return positions, DT_FS, CELL, groups, symbols


def test_best_rotation_is_that_of_scipy():
    rng = np.random.default_rng(0)
    vectors = Rotation.random(20, random_state=0).apply(CORNERS[1]).reshape(5, 4, 3) + rng.normal(0, 0.5, (5, 4, 3))
    rotations, misfit = best_rotations(vectors, CORNERS)
    for found, residual, vector in zip(rotations, misfit, vectors, strict=True):
        expected, rssd = Rotation.align_vectors(vector, CORNERS)
        np.testing.assert_allclose(found, expected.as_matrix(), atol=1e-9)  # rounding of two decompositions
        assert residual == pytest.approx(rssd / 2, rel=1e-9)  # of four vectors
        assert np.linalg.det(found) == pytest.approx(1)


def test_orders_of_rotation_groups():
    """12 proper rotations of a tetrahedron, 3 with one ligand unlike, 24 of an octahedron, 6 of a triangle."""
    assert len(equivalent_rotations(CORNERS, ["S"] * 4)) == 12
    assert len(equivalent_rotations(CORNERS, ["O", "S", "S", "S"])) == 3
    assert len(equivalent_rotations(CORNERS, ["O", "S", "Se", "F"])) == 1
    assert len(equivalent_rotations(np.concatenate([np.eye(3), -np.eye(3)]), ["O"] * 6)) == 24
    triangle = np.array([[1, 0, 0], [-0.5, 0.75**0.5, 0], [-0.5, -(0.75**0.5), 0]])
    assert len(equivalent_rotations(triangle, ["O"] * 3)) == 6
    np.testing.assert_allclose(equivalent_rotations(CORNERS, ["S"] * 4)[0], np.eye(3), atol=1e-12)  # rounding


def test_brownian_rotor(rotor):
    """C_l = exp(-l(l + 1) D_r t) (Debye)."""
    t = rotor.lags_ps
    # noise of 0.02 Angstrom on bonds of 2.05 takes 2 (0.02 sqrt(2)/2.05)^2 = 0.04 % of C1, three times that of C2
    for measured, error, order in ((rotor.c1, rotor.c1_uncertainty, 1), (rotor.c2, rotor.c2_uncertainty, 2)):
        expected = np.exp(-order * (order + 1) * 0.2 * t)
        chosen = np.array([1, 5, 10, 20, 40])
        assert np.all(np.abs(measured - expected)[chosen] < 4 * error[chosen] + 2e-3)  # 4 sigma for ten values
        assert np.all(error[chosen] < 0.05)
    for time, tau in ((rotor.time1, 1 / 0.4), (rotor.time2, 1 / 1.2)):
        assert time.uncertainty_ps < 0.15 * tau
        assert time.tau_ps == pytest.approx(tau, abs=3 * time.uncertainty_ps)
    assert rotor.state == "rotates"
    assert rotor.equivalent_orientations == 12


def test_jumps_are_counted(jumps):
    result, expected = jumps
    assert result.state == "reorients"
    for group, times in zip(result.groups, expected, strict=True):
        # two jumps in one frame or within the dwell time of 4 frames count as one, or as none: 0.4 % of them
        assert len(group.event_ps) == len(times)
        np.testing.assert_allclose(group.event_ps, (times - 0.5) * DT_FS * 1e-3, atol=DT_FS * 1e-3)  # one frame
        np.testing.assert_allclose(group.event_deg, 120, atol=2)  # distortion of the mean shape by noise
    total = sum(len(times) for times in expected)
    assert result.reorientations == total
    assert result.rate_per_ps == pytest.approx(total / (12 * 2999 * 0.05), rel=1e-9)
    # 6 degrees about three axes; the noise of the ligands adds 0.3 degrees to each, one part in a thousand
    assert result.libration_deg == pytest.approx(np.sqrt(3) * 6, rel=0.01)
    # a threefold turn leaves one corner of four and moves the others by the tetrahedral angle, of cosine -1/3: after it
    # C1 is 1/4 - 3/4/3 = 0, hence 1/tau is the rate of turns
    assert result.time1.tau_ps == pytest.approx(1 / result.rate_per_ps, abs=3 * result.time1.uncertainty_ps)


def test_librations_only():
    rng = np.random.default_rng(4)
    result = polyanion_rotation(*_arguments(small_turns((8, 2000), 7.0, rng)))
    assert result.state == "librates"
    assert result.reorientations == 0
    assert result.rate_uncertainty_per_ps is None
    # rule of three
    assert result.rate_per_ps == pytest.approx(2.996 / (8 * 1999 * 0.05), rel=1e-3)
    assert result.time1.tau_ps is None
    assert result.time1.lower_bound_ps == pytest.approx(1 / result.rate_per_ps, rel=0.5)  # noise of a flat C1
    quantities = {quantity.name: quantity for quantity in rotation_quantities(result, 300.0)}
    assert quantities["reorientation_rate_PS4"].bound == "upper"
    assert quantities["rotational_time_1_PS4"].bound == "lower"
    assert all(quantity.converged for quantity in quantities.values())


def test_a_swing_that_comes_back_is_no_reorientation():
    """One visit of another orientation, shorter than the dwell time."""
    turned = small_turns((8, 1000), 5.0, np.random.default_rng(5))
    threefold = Rotation.from_rotvec(2 * np.pi / 3 * CORNERS[0] / 2.05).as_matrix()
    turned[0, 500:503] = turned[0, 500:503] @ threefold
    arguments = _arguments(turned)
    assert polyanion_rotation(*arguments, min_dwell_ps=0.2).reorientations == 0
    assert polyanion_rotation(*arguments, min_dwell_ps=0.0).reorientations == 2


def test_invariance():
    """Another frame of reference, another origin and another start inside the librations change nothing."""
    turned, _ = jumping(8, 800, 0.002, 6.0, seed=6)
    positions, *rest = _arguments(turned)
    first = polyanion_rotation(positions, *rest)
    whole = Rotation.from_euler("xyz", [20, 50, 80], degrees=True).as_matrix()
    second = polyanion_rotation(positions @ whole.T + 3.0, *rest)
    np.testing.assert_allclose(second.c2, first.c2, atol=1e-10)  # rounding
    assert second.reorientations == first.reorientations > 3
    assert second.libration_deg == pytest.approx(first.libration_deg, rel=1e-6)


def test_groups_across_the_boundary():
    """Unwrapped positions keep the image a ligand had in the first frame."""
    turned, _ = jumping(8, 600, 0.002, 6.0, seed=7)
    positions, step, cell, groups, symbols = _arguments(turned)
    moved = positions.copy()
    shifted = []
    for group in groups:
        moved[:, group.ligands[0]] -= cell[0]
        images = group.images.copy()
        images[0] = [1, 0, 0]
        shifted.append(type(group)(**{**vars(group), "images": images}))
    first = polyanion_rotation(positions, step, cell, groups, symbols)
    second = polyanion_rotation(moved, step, cell, shifted, symbols)
    np.testing.assert_allclose(second.c1, first.c1, atol=1e-10)  # rounding


def test_a_broken_group_is_left_out():
    turned = small_turns((8, 600), 5.0, np.random.default_rng(8))
    positions, step, cell, groups, symbols = _arguments(turned)
    positions[300:, 2] += 5.0
    result = polyanion_rotation(positions, step, cell, groups, symbols)
    assert result.broken == (0,)
    assert len(result.groups) == 7
    positions[300:, [7, 12, 17, 22, 27, 32, 37]] += 5.0
    with pytest.raises(ValueError, match="every PS4 loses"):
        polyanion_rotation(positions, step, cell, groups, symbols)


def test_held_groups():
    result = polyanion_rotation(*_arguments(np.tile(np.eye(3), (8, 300, 1, 1)), noise=0.0))
    assert result.state == "held"


def test_bad_input():
    positions, step, cell, groups, symbols = _arguments(small_turns((2, 300), 5.0, np.random.default_rng(9)))
    with pytest.raises(ValueError, match="no polyanions"):
        polyanion_rotation(positions, step, cell, [], symbols)
    with pytest.raises(ValueError, match="one kind"):
        other = type(groups[0])(**{**vars(groups[0]), "label": "GeS4"})
        polyanion_rotation(positions, step, cell, [groups[1], other], symbols)
    with pytest.raises(ValueError, match="do not fit"):
        polyanion_rotation(positions[:, :7], step, cell, groups, symbols)
    with pytest.raises(ValueError, match="too few"):
        polyanion_rotation(positions[:40], step, cell, groups, symbols)
    with pytest.raises(ValueError, match="positive"):
        polyanion_rotation(positions, 0.0, cell, groups, symbols)
    positions[5, 1, 1] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        polyanion_rotation(positions, step, cell, groups, symbols)
    with pytest.raises(ValueError, match="8 at most"):
        equivalent_rotations(np.ones((9, 3)), ["O"] * 9)
