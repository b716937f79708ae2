"""Which format a file of force constants is in: by what it holds when read, by its name when written."""

from __future__ import annotations

import pickle
import tarfile
from pathlib import Path

import h5py

_FIRST_LINES = 8

_BY_NAME = {
    "FORCE_CONSTANTS": "phonopy",
    "force_constants.hdf5": "phonopy-hdf5",
    "fc2.hdf5": "phono3py-fc2",
    "fc3.hdf5": "phono3py-fc3",
    "BORN": "born",
    "FORCE_CONSTANTS_2ND": "shengbte-second",
    "espresso.ifc2": "espresso",
    "FORCE_CONSTANTS_3RD": "shengbte",
    "FORCE_CONSTANTS_4TH": "fourphonon",
}

_BY_ENDING = {
    ".forceconstant": "tdep",
    ".forceconstant_thirdorder": "tdep-third",
    ".fc": "hiphive",
    ".ifc2": "espresso",
    ".yaml": "phono3py-yaml",
}


def format_to_write(path: Path) -> str:
    """Format that the name of a file stands for.

    Raises
    ------
    ValueError
        If it stands for none.
    """
    found = _BY_NAME.get(path.name) or _BY_ENDING.get(path.suffix)
    if found is None:
        known = [*_BY_NAME, *(f"*{ending}" for ending in _BY_ENDING)]
        raise ValueError(f"{path.name} does not tell its format: call it one of {', '.join(known)}, or name the format")
    return found


def recognised(path: Path) -> str:
    """Format of a file that is there.

    Raises
    ------
    ValueError
        If it is none that is known.
    """
    if not path.is_file():
        raise ValueError(f"there is no file {path}")
    if h5py.is_hdf5(path):
        return _of_hdf5(path)
    if path.suffix == ".yaml" or ".yaml." in path.name:
        return "yaml"
    if tarfile.is_tarfile(path):
        return _of_archive(path)
    with path.open("rb") as stream:
        if stream.read(1) == pickle.PROTO:
            raise ValueError(
                f"{path.name} is a bare Python pickle, as hiphive wrote potentials before version 1.0, and is not "
                "opened: read it in the hiphive it comes from and write its force constants over a supercell as .fc"
            )
    return _of_text(path)


def _of_archive(path: Path) -> str:
    try:
        with tarfile.open(path) as archive:
            names = archive.getnames()
    except (tarfile.TarError, OSError, EOFError) as error:
        raise ValueError(f"{path.name} is an archive that is cut short or damaged: {error}") from error
    if "fc_dict" in names:
        return "hiphive"
    if "_prim" in names:
        return "hiphive-potential"
    raise ValueError(
        f"{path.name} is an archive of {', '.join(names[:3]) or 'nothing'}, and not a .fc or .fcp file of hiphive"
    )


def _of_hdf5(path: Path) -> str:
    try:
        with h5py.File(path) as file:
            keys = set(file)
    except OSError as error:
        raise ValueError(f"{path.name} is not a complete HDF5 file: {error}") from error
    if "fc3" in keys:
        return "phono3py-fc3"
    if keys & {"force_constants", "fc2"}:
        return "phonopy-hdf5"
    raise ValueError(f"{path.name} holds {', '.join(sorted(keys)) or 'nothing'}, and no force constants")


def _of_text(path: Path) -> str:
    if path.suffix == ".hdf5" or path.stat().st_size == 0:
        raise ValueError(f"{path.name} is empty or not a complete HDF5 file: was it cut short?")
    lines: list[list[str]] = []
    with path.open(encoding="utf-8", errors="replace") as stream:
        for line in stream:
            if line.strip():
                lines.append(line.split())
            if len(lines) == _FIRST_LINES:
                break
    kind = _by_shape(lines)
    if kind is None:
        raise ValueError(
            f"{path.name} begins like no file of force constants that is known (phonopy, phono3py, ShengBTE, "
            "FourPhonon, Quantum ESPRESSO, TDEP), or is cut short within its first lines: name its format if you "
            "are sure"
        )
    return kind


def _by_shape(lines: list[list[str]]) -> str | None:
    """Tell text formats by how many words are in their first lines, and which are whole numbers."""
    sizes = [len(words) for words in lines]
    whole = [bool(words) and words[0].lstrip("+-").isdigit() for words in lines]
    if sizes[:1] == [6] and not whole[0]:
        return "force-sets"  # displacements and forces of all atoms
    if sizes[:1] and sizes[0] >= 9 and all(word.lstrip("-").isdigit() for word in lines[0][:3]):
        return "espresso"
    if len(lines) < 5 or not whole[0]:
        return None
    if sizes[0] <= 2 and sizes[1] == 2 and whole[1] and sizes[2:5] == [3, 3, 3]:
        return "phonopy"
    if sizes[:4] == [1, 1, 1, 3] and sizes[4] == 3 and all(whole[:3]):
        return "force-sets"  # atoms, displacements, then the displaced atom, its displacement and the forces
    if sizes[:6] == [1, 1, 3, 3, 3, 4] and lines[1] == ["1"]:
        # Two cells, three atoms, then axes and value: whole numbers in the third line of three tell.
        return "shengbte" if all(word.isdigit() for word in lines[4]) else "fourphonon"
    # Comments follow the whole numbers of TDEP: a cutoff, the number of pairs or triplets, one or three atoms.
    if not whole[1] and whole[2] and whole[3]:
        return "tdep-third" if whole[4] and sizes[4] != 3 else "tdep"
    return None
