"""Ions that walk on a lattice with known rates, as unwrapped trajectories with vibrations."""

import numpy as np

TRICLINIC = np.array([[3.0, 0.0, 0.0], [1.1, 2.9, 0.0], [-0.9, 0.7, 3.2]])
STEP_FS = 40.0
STEP_PS = 0.04

_DIRECTIONS = np.array([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]])


def directions(rng: np.random.Generator, hops: int, back: float | None = None) -> np.ndarray:
    """Successive hops ``[hops, 3]`` on a simple lattice; a given chance to undo the one before, the others alike."""
    if back is None:
        return _DIRECTIONS[rng.integers(0, 6, hops)]
    kinds = np.empty(hops, dtype=int)
    last = int(rng.integers(0, 6))
    reverse = [1, 0, 3, 2, 5, 4]
    returns, others = rng.random(hops) < back, rng.integers(0, 5, hops)
    for i in range(hops):
        choices = [k for k in range(6) if k != reverse[last]]
        last = reverse[last] if returns[i] else choices[others[i]]
        kinds[i] = last
    return _DIRECTIONS[kinds]


def walkers(
    seed: int,
    frames: int,
    ions: int,
    rate_per_ps: float,
    *,
    cell: np.ndarray,
    vibration: float = 0.25,
    back: float | None = None,
    box: int = 8,
) -> tuple[np.ndarray, int]:
    """Independent walkers on the points of a lattice: unwrapped positions and the number of hops they made.

    They start on different points of a box of the lattice and do not see each other afterwards.
    """
    rng = np.random.default_rng(seed)
    cells = np.zeros((frames, ions, 3))
    starts = np.stack(np.unravel_index(rng.choice(box**3, ions, replace=False), (box,) * 3), axis=1)
    total = 0
    for ion in range(ions):
        happens = rng.random(frames - 1) < 1 - np.exp(-rate_per_ps * STEP_PS)
        made = directions(rng, int(happens.sum()), back)
        steps = np.zeros((frames, 3))
        steps[1:][happens] = made
        cells[:, ion] = starts[ion] + np.cumsum(steps, axis=0)
        total += len(made)
    positions = cells @ cell + rng.normal(0, vibration, (frames, ions, 3))
    return positions.astype(np.float32), total
