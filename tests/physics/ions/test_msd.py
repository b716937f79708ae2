import numpy as np
import pytest

from aiida_iontherm.physics.ions import mean_square_displacement, msd


def direct(positions: np.ndarray, max_lag: int) -> np.ndarray:
    """Average over ions and origins, lag by lag."""
    tensors = [np.zeros((3, 3))]
    for lag in range(1, max_lag + 1):
        step = positions[lag:] - positions[:-lag]
        tensors.append(np.einsum("kia,kib->ab", step, step) / (step.shape[0] * step.shape[1]))
    return np.array(tensors)


def walk(seed: int, frames: int = 73, ions: int = 5) -> np.ndarray:
    return np.cumsum(np.random.default_rng(seed).normal(size=(frames, ions, 3)), axis=0)


@pytest.mark.parametrize("max_lag", [None, 1, 20])
def test_equals_the_direct_sum(max_lag):
    positions = walk(0) @ np.array([[1, 0.5, 0], [0, 1, 0], [0.2, 0, 0.1]])
    # rounding of sums of squares of about 100 over 73 frames
    np.testing.assert_allclose(
        mean_square_displacement(positions, max_lag), direct(positions, max_lag or 72), atol=1e-10
    )


def test_far_from_the_origin():
    positions = walk(1)
    # the coordinates keep 16 - 4 digits at 1e4 Angstrom; displacements of 1 then to 1e-11, their squares alike
    np.testing.assert_allclose(mean_square_displacement(positions + 1e4), direct(positions, 72), atol=1e-8)


def test_chunks_make_no_difference(monkeypatch):
    positions = walk(2, ions=7)
    whole = mean_square_displacement(positions)
    monkeypatch.setattr(msd, "CHUNK_BYTES", 1)
    np.testing.assert_allclose(mean_square_displacement(positions), whole, atol=1e-10)  # order of summation only


def test_rotation_rotates_the_tensor():
    positions = walk(3)
    q, _ = np.linalg.qr(np.random.default_rng(4).normal(size=(3, 3)))
    expected = q @ mean_square_displacement(positions) @ q.T
    np.testing.assert_allclose(mean_square_displacement(positions @ q.T), expected, atol=1e-10)  # rounding


def test_drift_is_taken_out():
    positions = walk(5)
    drift = np.cumsum(np.random.default_rng(6).normal(size=(73, 3)), axis=0)
    moved = mean_square_displacement(positions + drift[:, None], drift=drift)
    np.testing.assert_allclose(moved, mean_square_displacement(positions), atol=1e-10)  # rounding


def test_uniform_motion_is_ballistic():
    velocity = np.array([0.3, -0.2, 0.1])
    positions = (np.arange(50)[:, None] * velocity)[:, None, :]
    expected = np.arange(50)[:, None, None] ** 2 * np.outer(velocity, velocity)
    np.testing.assert_allclose(mean_square_displacement(positions), expected, atol=1e-10)  # rounding


@pytest.mark.parametrize(
    ("positions", "options"),
    [
        (np.zeros((10, 3)), {}),
        (np.zeros((1, 2, 3)), {}),
        (np.zeros((10, 2, 3)), {"max_lag": 10}),
        (np.zeros((10, 2, 3)), {"max_lag": 0}),
        (np.zeros((10, 2, 3)), {"drift": np.zeros(3)}),
        (np.full((10, 2, 3), np.nan), {}),
    ],
)
def test_bad_input(positions, options):
    with pytest.raises(ValueError):
        mean_square_displacement(positions, **options)
