"""Read and write the plain files of a task: whole or not at all."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
from ase import Atoms
from ase.io.extxyz import XYZError


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Give a temporary name to write to; rename it if all went well, else leave no debris on a full disk."""
    temporary = path.with_name(path.name + ".part")
    try:
        yield temporary
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_json(path: Path, data: Mapping[str, Any]) -> None:
    """Write JSON under a temporary name and rename it into place; NaN is refused, it is not JSON."""
    text = json.dumps(data, indent=1, allow_nan=False) + "\n"
    with written_whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_npz(path: Path, arrays: Mapping[str, np.ndarray], *, compressed: bool = False) -> None:
    """Write arrays under a temporary name and rename them into place; compression pays where most numbers are zero."""
    save = np.savez_compressed if compressed else np.savez
    with written_whole(path) as temporary, temporary.open("wb") as stream:
        save(stream, **arrays)


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """Read plain arrays; pickled objects are refused.

    Raises
    ------
    ValueError
        If the file is missing, damaged, or holds anything but plain arrays.
    """
    if not path.is_file():
        raise ValueError(f"there is no file {path.name}")
    if not zipfile.is_zipfile(path):
        raise ValueError(f"{path.name} is not a complete .npz archive")
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except zipfile.BadZipFile as error:
        raise ValueError(f"{path.name} is damaged: {error}") from error


def write_structures(path: Path, frames: Sequence[Atoms]) -> None:
    """Write extended XYZ, with energies, forces and stresses where a calculator left them."""
    with written_whole(path) as temporary:
        ase.io.write(temporary, list(frames), format="extxyz")


def read_structures(path: Path) -> list[Atoms]:
    """Read all frames of an extended XYZ file, each with a three-dimensional cell.

    Raises
    ------
    ValueError
        If the file is missing, is not extended XYZ, or holds a structure without a cell.
    """
    if not path.is_file():
        raise ValueError(f"there is no file {path.name}")
    try:
        frames = ase.io.read(path, index=":", format="extxyz")
    except (ValueError, KeyError, IndexError, StopIteration, XYZError) as error:
        raise ValueError(f"{path.name} is not extended XYZ: {error}") from error
    if not frames:
        raise ValueError(f"{path.name} holds no structure")
    if any(atoms.cell.rank < 3 for atoms in frames):
        raise ValueError(f"{path.name} holds a structure without a three-dimensional cell: give its Lattice")
    return frames
