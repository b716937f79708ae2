"""Read and write the plain files of a task: whole or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
from ase import Atoms


def write_json(path: Path, data: Mapping[str, Any]) -> None:
    """Write JSON under a temporary name and rename it into place; NaN is refused, it is not JSON."""
    temporary = path.with_name(path.name + ".part")
    temporary.write_text(json.dumps(data, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    os.replace(temporary, path)


def write_npz(path: Path, arrays: Mapping[str, np.ndarray], *, compressed: bool = False) -> None:
    """Write arrays under a temporary name and rename them into place; compression pays where most numbers are zero."""
    temporary = path.with_name(path.name + ".part")
    save = np.savez_compressed if compressed else np.savez
    with temporary.open("wb") as stream:
        save(stream, **arrays)
    os.replace(temporary, path)


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """Read plain arrays; pickled objects are refused."""
    with np.load(path, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def write_structures(path: Path, frames: Sequence[Atoms]) -> None:
    """Write extended XYZ, with energies, forces and stresses where a calculator left them."""
    temporary = path.with_name(path.name + ".part")
    ase.io.write(temporary, list(frames), format="extxyz")
    os.replace(temporary, path)


def read_structures(path: Path) -> list[Atoms]:
    """Read all frames of an extended XYZ file.

    Raises
    ------
    ValueError
        If the file is missing or is not extended XYZ.
    """
    if not path.is_file():
        raise ValueError(f"there is no file {path.name}")
    try:
        frames = ase.io.read(path, index=":", format="extxyz")
    except (ValueError, KeyError, IndexError, StopIteration, ase.io.formats.UnknownFileTypeError) as error:
        raise ValueError(f"{path.name} is not extended XYZ: {error}") from error
    if not frames:
        raise ValueError(f"{path.name} holds no structure")
    return frames
