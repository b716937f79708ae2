"""Where things lie in a folder of phonopy or phono3py.

Files are found and given precedence as `phonopy.load` and `phono3py.load` do in the current directory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

COMPRESSIONS = ("", ".xz", ".lzma", ".gz", ".bz2")
"""Of yaml files, FORCES_FC2 and FORCES_FC3, as phonopy and phono3py read them."""

PHONOPY_YAML = ("phonopy_params.yaml", "phonopy.yaml", "phonopy_disp.yaml")
PHONO3PY_YAML = ("phono3py_params.yaml", "phono3py.yaml", "phono3py_disp.yaml")
UNIT_CELLS = ("POSCAR-unitcell", "POSCAR")
SETTINGS = ("phonopy.conf", "phono3py.conf", "setting.conf")
FORCE_CONSTANTS = ("FORCE_CONSTANTS", "force_constants.hdf5", "fc2.hdf5")
FORCES = ("FORCE_SETS",)
THIRD_ORDER = ("fc3.hdf5", "FORCES_FC3")

Program = Literal["phonopy", "phono3py"]


@dataclass(frozen=True)
class Layout:
    """Files and settings of a folder that say what the crystal is.

    Attributes
    ----------
    folder
        Absolute.
    yaml
        File of phonopy or phono3py with cells and supercells, or ``None``.
    unit_cell
        Structure file, where there is no yaml file.
    supercell_matrix, phonon_supercell_matrix
        ``[3, 3]``, of the unit cell; the second one for second order where that has its own supercell.
    primitive_matrix
        As phonopy takes it: ``[3, 3]``, the letter of a centring, or ``auto``.
    """

    folder: Path
    yaml: Path | None
    unit_cell: Path | None
    supercell_matrix: NDArray[np.int64] | None
    phonon_supercell_matrix: NDArray[np.int64] | None
    primitive_matrix: Any

    def cell_arguments(self, yaml_argument: str) -> dict[str, Any]:
        """Arguments of `phonopy.load` and `phono3py.load`, which call that of the yaml file by different names."""
        if self.yaml is not None:
            return {yaml_argument: self.yaml, "primitive_matrix": self.primitive_matrix}
        return {
            "unitcell_filename": self.unit_cell,
            "supercell_matrix": self.supercell_matrix,
            "primitive_matrix": self.primitive_matrix,
        }

    @property
    def cell_file(self) -> str:
        """Name of the file the cell comes from."""
        return (self.yaml or self.unit_cell or self.folder).name


def find_file(folder: Path, names: Sequence[str], extensions: Sequence[str] = ("",)) -> Path | None:
    """First of these files that is there, by name and then by extension."""
    candidates = (folder / f"{name}{extension}" for name in names for extension in extensions)
    return next((path for path in candidates if path.is_file()), None)


def folder_and_yaml(path: Path | str) -> tuple[Path, Path | None]:
    """Absolute folder, and the yaml file in it where the path names one.

    Raises
    ------
    FileNotFoundError
        If there is no such folder or file.
    ValueError
        If it is a file of another kind.
    """
    where = Path(path).expanduser().resolve()
    if where.is_dir():
        return where, None
    if where.is_file():
        if ".yaml" not in where.suffixes:
            raise ValueError(f"{path} is neither a folder nor a phonopy yaml file: give the folder it lies in")
        return where.parent, where
    raise FileNotFoundError(f"there is no folder {path}")


def has_third_order(path: Path | str) -> bool:
    """Whether `load_phono3py_directory` is worth a try: phono3py's files, or third order of any kind, are there.

    Raises
    ------
    FileNotFoundError
        If there is no such folder or file.
    ValueError
        If it is a file of another kind, or several yaml files of phono3py are there.
    """
    folder, given = folder_and_yaml(path)
    if given is None and find_file(folder, THIRD_ORDER, COMPRESSIONS):
        return True
    candidate = given or _find_yaml(folder, "phono3py")
    return candidate is not None and candidate.name.startswith("phono3py")


def only_phono3py(folder: Path, given: Path | None) -> bool:
    """Whether only phono3py's files describe the harmonic part."""
    if given is not None:
        return given.name.startswith("phono3py")
    if _find_yaml(folder, "phonopy") or find_file(folder, (*FORCE_CONSTANTS[:2], *FORCES)):
        return False
    return bool(_find_yaml(folder, "phono3py") or find_file(folder, THIRD_ORDER, COMPRESSIONS))


def find_layout(
    folder: Path,
    given: Path | None,
    program: Program,
    supercell_matrix: ArrayLike | None,
    primitive_matrix: Any,
) -> Layout:
    """Find the cell of a folder, and its supercell.

    Parameters
    ----------
    folder, given
        From `folder_and_yaml`.
    program
        Whose yaml files are looked for, unless one was given.
    supercell_matrix, primitive_matrix
        Where they are not ``None``, they are taken instead of those of the settings file.

    Raises
    ------
    FileNotFoundError
        If there is no cell.
    ValueError
        If its supercell is not known, or known twice, or the settings cannot be read.
    """
    primitive = "auto" if primitive_matrix is None else primitive_matrix
    file = given or _find_yaml(folder, program)
    if file is not None:
        if supercell_matrix is not None:
            raise ValueError(f"{file.name} tells the supercell itself: leave out the supercell matrix")
        return Layout(folder, file, None, None, None, primitive)
    unit_cell = find_file(folder, UNIT_CELLS)
    if unit_cell is None:
        raise FileNotFoundError(
            f"{folder.name} holds no cell to read: looked for {', '.join(_yaml_names(program))}, {program}_*.yaml "
            f"(also compressed), {' and '.join(UNIT_CELLS)}"
        )
    settings = _settings(folder)
    dim = _matrix("the supercell matrix", supercell_matrix) if supercell_matrix is not None else settings.get("dim")
    if dim is None:
        raise ValueError(
            f"{folder.name} does not tell the supercell of {unit_cell.name}: add a phonopy.conf with DIM, or give the "
            "supercell matrix"
        )
    if primitive_matrix is None:
        primitive = settings.get("primitive_axes", settings.get("primitive_axis", "auto"))
    return Layout(folder, None, unit_cell, dim, settings.get("dim_fc2"), primitive)


def _find_yaml(folder: Path, program: Program) -> Path | None:
    found = find_file(folder, _yaml_names(program), COMPRESSIONS)
    if found is not None:
        return found
    others = sorted(
        file for extension in COMPRESSIONS for file in folder.glob(f"{program}_*.yaml{extension}") if file.is_file()
    )
    if len(others) > 1:
        raise ValueError(
            f"{folder.name} holds several files of {program} ({', '.join(file.name for file in others)}): name "
            "one of them instead of the folder"
        )
    return others[0] if others else None


def _yaml_names(program: Program) -> Sequence[str]:
    return PHONOPY_YAML if program == "phonopy" else PHONO3PY_YAML


def _settings(folder: Path) -> dict[str, Any]:
    """DIM, DIM_FC2 and PRIMITIVE_AXES of phonopy's settings file."""
    path = find_file(folder, SETTINGS)
    if path is None:
        return {}
    found: dict[str, Any] = {}
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        key, equals, value = line.partition("#")[0].partition("=")
        name = key.strip().lower()
        if not equals or name not in ("dim", "dim_fc2", "primitive_axes", "primitive_axis"):
            continue
        words = value.split()
        if name.startswith("primitive") and len(words) == 1:
            found[name] = "auto" if words[0].lower() == "auto" else words[0].upper()
            continue
        try:
            numbers = [float(Fraction(word)) for word in words]
        except (ValueError, ZeroDivisionError) as error:
            raise ValueError(f"{path.name}: {key.strip()} = {value.strip()} is not made of numbers") from error
        if len(numbers) not in ((9,) if name.startswith("primitive") else (3, 9)):
            raise ValueError(f"{path.name}: {key.strip()} has {len(numbers)} numbers, need 9 (or 3 for DIM)")
        matrix = np.diag(numbers) if len(numbers) == 3 else np.reshape(numbers, (3, 3))
        found[name] = matrix if name.startswith("primitive") else _matrix(f"{path.name}: {key.strip()}", matrix)
    return found


def _matrix(what: str, value: ArrayLike) -> NDArray[np.int64]:
    """Supercell matrix [3, 3] of integers with a positive determinant."""
    array = np.asarray(value, dtype=float)
    array = np.diag(array) if array.shape == (3,) else array
    whole = np.rint(array).astype(np.int64)
    if array.shape != (3, 3) or np.any(whole != array) or np.linalg.det(array) < 0.5:
        raise ValueError(f"{what} must be 3 or 3 x 3 whole numbers with a positive determinant")
    return whole
