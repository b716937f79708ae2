"""KPOINTS: meshes and lists of k-points, reduced by time reversal."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from ase.cell import Cell

from aiida_iontherm.engines.mock_vasp.errors import VaspStop


@dataclass(frozen=True)
class KPoints:
    """Points [k, 3] in reciprocal coordinates, weights [k] that add up to one, and the mesh if there is one."""

    comment: str
    points: np.ndarray
    weights: np.ndarray
    style: str
    divisions: tuple[int, ...] | None = None
    shift: tuple[float, ...] = (0.0, 0.0, 0.0)


def read_kpoints(text: str, cell: Cell) -> KPoints:
    """Read a KPOINTS file: a Gamma-centred or Monkhorst-Pack mesh, a length, or a list in either coordinates.

    Raises
    ------
    VaspStop
        If the file ends early, is a band path, or holds what is no number.
    """
    lines = text.splitlines()
    try:
        comment, number, mode = lines[0].strip(), int(lines[1].split()[0]), lines[2].strip().upper()[:1]
        if number == 0:
            return _automatic(comment, mode, lines[3:], cell)
        if mode == "L":
            raise VaspStop("ERROR: KPOINTS holds a band path; this stand-in for VASP takes meshes and lists only.")
        rows = np.array([[float(word) for word in line.split()[:4]] for line in lines[3 : 3 + number]])
        points, weights = rows[:, :3], rows[:, 3]
        if len(rows) != number:
            raise IndexError
    except (IndexError, ValueError) as error:
        raise VaspStop("Error reading KPOINTS file: it ends early or holds what is no number.") from error
    if mode in "CK":
        points = points @ cell.array.T
    return KPoints(comment, points, weights / weights.sum(), "Reciprocal")


def mesh_from_spacing(spacing: float, centred: bool, cell: Cell) -> KPoints:
    """Return the mesh of KSPACING [1/Angstrom, with the 2 pi]: each division is the next integer of |b_i| / spacing."""
    lengths = 2 * np.pi * np.linalg.norm(cell.reciprocal().array, axis=1)
    divisions = tuple(max(1, int(np.ceil(length / spacing))) for length in lengths)
    return _mesh("Automatic mesh", "Gamma" if centred else "Monkhorst-Pack", divisions, (0.0, 0.0, 0.0))


def _automatic(comment: str, mode: str, lines: list[str], cell: Cell) -> KPoints:
    if mode == "A":
        lengths = np.linalg.norm(cell.reciprocal().array, axis=1)
        divisions = tuple(max(1, int(float(lines[0].split()[0]) * length + 0.5)) for length in lengths)
        return _mesh(comment, "Gamma", divisions, (0.0, 0.0, 0.0))
    divisions = tuple(int(word) for word in lines[0].split()[:3])
    shift = tuple(float(word) for word in lines[1].split()[:3]) if len(lines) > 1 and lines[1].split() else (0.0,) * 3
    return _mesh(comment, "Monkhorst-Pack" if mode == "M" else "Gamma", divisions, shift)


def _mesh(comment: str, style: str, divisions: tuple[int, ...], shift: tuple[float, ...]) -> KPoints:
    # Monkhorst-Pack meshes of even division are shifted off Gamma by half a step.
    offsets = [0.5 if style == "Monkhorst-Pack" and number % 2 == 0 else 0.0 for number in divisions]
    counts: dict[tuple[int, ...], int] = {}
    scale = 10**8
    for steps in itertools.product(*(range(number) for number in reversed(divisions))):
        fractions = [(i + o + s) / n for i, o, s, n in zip(reversed(steps), offsets, shift, divisions, strict=True)]
        # Points are compared as integers, folded into (-1/2, 1/2].
        point = tuple(scale // 2 - (scale // 2 - round(x * scale)) % scale for x in fractions)
        mirror = tuple(scale // 2 - (scale // 2 + x) % scale for x in point)
        key = mirror if mirror in counts else point
        counts[key] = counts.get(key, 0) + 1
    weights = np.array(list(counts.values()), dtype=float)
    points = np.array(list(counts)) / scale
    return KPoints(comment, points, weights / weights.sum(), style, divisions, shift)
