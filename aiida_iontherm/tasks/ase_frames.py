"""Frames of a trajectory in any format that ASE reads, one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import ase.io
from ase import Atoms
from ase.io.extxyz import XYZError
from ase.io.formats import UnknownFileTypeError


def iterate_frames(path: Path) -> Iterator[Atoms]:
    """Read frame by frame, so that none but the present one is in memory.

    Raises
    ------
    ValueError
        If ASE cannot read the file.
    """
    try:
        yield from ase.io.iread(path, index=":")
    except (UnknownFileTypeError, XYZError, ValueError, KeyError, IndexError, StopIteration, OSError) as error:
        raise ValueError(f"{path.name} is not a trajectory that ASE can read: {error}") from error
