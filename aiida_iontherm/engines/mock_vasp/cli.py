"""``iontherm-mock-vasp``: run in the current folder in place of ``vasp_std``, or write synthetic POTCAR files."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from aiida_iontherm import __version__

RANKS = ("OMPI_COMM_WORLD_RANK", "PMI_RANK", "PMIX_RANK", "SLURM_PROCID")


def main(arguments: list[str] | None = None) -> int:
    """Run the program and return its exit code."""
    parser = argparse.ArgumentParser(
        prog="iontherm-mock-vasp",
        description="Stand in for vasp_std: read INCAR, POSCAR, KPOINTS and POTCAR of the current folder, compute with "
        "the embedded engine named by IONTHERM_MOCK_VASP_ENGINE, and write files in VASP's formats. For trying out "
        "what talks to VASP; the numbers are the engine's.",
    )
    parser.add_argument(
        "--potcars",
        nargs="+",
        metavar=("FOLDER", "NAME"),
        help="write synthetic POTCAR files for elements (Cu) or data sets (Cu_pv) into FOLDER and stop; "
        "`aiida-vasp potcar uploadfamily` takes the folder",
    )
    parser.add_argument("--version", action="version", version=__version__)
    options = parser.parse_args(arguments)
    if options.potcars:
        return _potcars(parser, Path(options.potcars[0]), options.potcars[1:])
    if any(os.environ.get(name, "0") != "0" for name in RANKS):
        return 0  # started by an MPI launcher: one process does the work

    from aiida_iontherm.engines.mock_vasp.program import run

    return run(Path.cwd())


def _potcars(parser: argparse.ArgumentParser, folder: Path, names: list[str]) -> int:
    from aiida_iontherm.engines.mock_vasp.potcar import write_potcars

    if not names:
        parser.error("--potcars needs a folder and at least one element")
    try:
        files = write_potcars(folder, names)
    except ValueError as error:
        parser.error(str(error))
    sys.stdout.writelines(f"{file}\n" for file in files)
    return 0


if __name__ == "__main__":
    sys.exit(main())
