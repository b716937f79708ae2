"""Trajectories of tetrahedra whose rotations are known."""

import numpy as np
from scipy.spatial.transform import Rotation

from aiida_iontherm.physics.ions.polyanions import Polyanion

BOND = 2.05
CORNERS = BOND / np.sqrt(3) * np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]])
BOX = 10.0


def trajectory(rotations: np.ndarray, seed: int, noise: float = 0.02):
    """Positions [frames, 5 groups, 3] of PS4 turned by rotations [groups, frames, 3, 3], with groups and symbols."""
    rng = np.random.default_rng(seed)
    groups, frames = rotations.shape[:2]
    centres = BOX * rng.random((groups, 1, 3))
    bonds = np.einsum("gfab,kb->gfka", rotations, CORNERS)
    atoms = np.concatenate([np.zeros((groups, frames, 1, 3)), bonds], axis=2) + centres[:, :, None]
    positions = atoms.transpose(1, 0, 2, 3).reshape(frames, 5 * groups, 3)
    positions += rng.normal(0, noise, positions.shape)
    found = [
        Polyanion(
            label="PS4",
            centre=5 * g,
            ligands=np.arange(5 * g + 1, 5 * g + 5),
            images=np.zeros((4, 3), dtype=np.int64),
            molecule=np.arange(5 * g, 5 * g + 5),
        )
        for g in range(groups)
    ]
    return positions, found, ["P", "S", "S", "S", "S"] * groups


def small_turns(shape: tuple[int, ...], degrees: float, rng: np.random.Generator) -> np.ndarray:
    """Independent rotations [*shape, 3, 3] with this standard deviation about each axis."""
    vectors = rng.normal(0, np.radians(degrees), (*shape, 3))
    return Rotation.from_rotvec(vectors.reshape(-1, 3)).as_matrix().reshape(*shape, 3, 3)


def brownian(groups: int, frames: int, step_variance: float, seed: int) -> np.ndarray:
    """Rotational diffusion: turns by random small angles, this variance about each axis and step."""
    rng = np.random.default_rng(seed)
    steps = small_turns((groups, frames), float(np.degrees(np.sqrt(step_variance))), rng)
    turned = np.empty_like(steps)
    turned[:, 0] = Rotation.random(groups, random_state=seed).as_matrix()
    for frame in range(1, frames):
        turned[:, frame] = steps[:, frame] @ turned[:, frame - 1]
    return turned


def jumping(groups: int, frames: int, chance: float, degrees: float, seed: int) -> tuple[np.ndarray, list[np.ndarray]]:
    """Librating groups that exchange corners with this chance per frame, and the frames at which each did."""
    rng = np.random.default_rng(seed)
    threefold = [Rotation.from_rotvec(2 * np.pi / 3 * corner / BOND).as_matrix() for corner in CORNERS]
    turned, when = small_turns((groups, frames), degrees, rng), []
    for group in range(groups):
        happens = rng.random(frames) < chance
        happens[0] = False
        when.append(np.flatnonzero(happens))
        state = np.eye(3)
        for frame in range(frames):
            if happens[frame]:
                state = state @ threefold[rng.integers(4)]
            turned[group, frame] = turned[group, frame] @ state
    return turned, when
