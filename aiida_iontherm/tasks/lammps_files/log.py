"""What the log of LAMMPS tells about how it ended."""

from __future__ import annotations

import re
from pathlib import Path

FLEW_APART = (
    "fix-id runaway",
    "Lost atoms",
    "Non-numeric",
    "Out of range atoms",
    "simulation unstable",
    "Two atoms are at the same place",
    "Too many neighbor bins",
    "Cannot use neighbor bins - box size",
)
"""Errors of a run whose atoms fly apart."""

WRONG_INPUT = (
    "Unrecognized pair style",
    "was compiled with the headers",
    "was compiled for other sizes",
    "Unrecognized fix style",
    "Unrecognized compute style",
    "not compiled with",
    "Cannot open potential file",
)
"""Errors of a build that lacks what is asked of it."""


EMPTIED = ("Fix ehex kinetic energy went negative", "Fix ehex error mass of region")
"""Errors of a reservoir that has not the heat, or the atoms, that are asked of it."""

NOT_BUILT = "which is not enabled in this LAMMPS binary"
"""In errors about styles of a package that a build has not."""


def error_in(path: Path) -> str | None:
    """Return the error that ended a run of LAMMPS, in one line, if its log tells one."""
    if not path.is_file():
        return None
    lines = path.read_text(errors="replace").splitlines()
    found = [number for number, line in enumerate(lines) if line.startswith("ERROR")]
    if not found:
        return None
    text = lines[found[0]]
    # Of what follows only the command itself tells more.
    command = next((line for line in lines[found[0] + 1 :] if line.startswith("Last")), "")
    return re.sub(r"\s*\((/\S+|src/\S+|\.\./\S+):\d+\)", "", f"{text} {command}").strip()


def version_in(path: Path) -> str | None:
    """Return the release of LAMMPS that wrote a log."""
    if not path.is_file():
        return None
    with path.open(errors="replace") as stream:
        for line in stream:
            if match := re.match(r"LAMMPS \((.+)\)", line):
                return match[1]
    return None


def last_words(path: Path) -> str:
    """Return the last line that is not empty, or nothing if there is no file."""
    lines = path.read_text(errors="replace").split("\n") if path.is_file() else []
    return next((line.strip() for line in reversed(lines) if line.strip()), "")
