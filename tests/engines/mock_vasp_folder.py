"""Folders for the program that stands in for VASP."""

from itertools import groupby
from pathlib import Path

from ase import Atoms
from ase.io import write

from aiida_iontherm.engines.mock_vasp import run
from aiida_iontherm.engines.mock_vasp.potcar import write_potcars

EMT = {"IONTHERM_MOCK_VASP_ENGINE": "emt"}
KPOINTS = "a mesh\n0\nGamma\n2 2 2\n0 0 0\n"
RELAX = {"IBRION": 2, "NSW": 40, "EDIFFG": -0.01}
MD = {"IBRION": 0, "NSW": 4, "POTIM": 2.0, "TEBEG": 300, "ISIF": 2, "ISYM": 0}


def prepare(folder: Path, atoms: Atoms, incar: dict[str, object] | None = None, kpoints: str | None = KPOINTS) -> Path:
    """Write the four input files of VASP."""
    folder.mkdir(parents=True, exist_ok=True)
    tags = {"ENCUT": 300, "EDIFF": 1e-6} | (incar or {})
    (folder / "INCAR").write_text("".join(f"{name} = {value}\n" for name, value in tags.items()))
    write(folder / "POSCAR", atoms, format="vasp", direct=True)
    if kpoints is not None:
        (folder / "KPOINTS").write_text(kpoints)
    blocks = [symbol for symbol, _ in groupby(atoms.get_chemical_symbols())]
    files = write_potcars(folder.parent / "potcars", blocks)
    (folder / "POTCAR").write_text("".join(file.read_text() for file in files))
    return folder


def execute(folder: Path, atoms: Atoms, incar: dict[str, object] | None = None, **environment: object) -> Path:
    """Prepare a folder and run in it, with EMT unless another engine is named; the run must end well."""
    prepare(folder, atoms, incar)
    assert run(folder, EMT | {f"IONTHERM_MOCK_VASP_{name.upper()}": str(v) for name, v in environment.items()}) == 0
    return folder
