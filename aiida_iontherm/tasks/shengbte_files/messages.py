"""What the texts of a run that ended early say about why."""

from __future__ import annotations

import re
from typing import Literal

Cause = Literal["memory", "wall time", "four phonons", "error", "nothing"]

_SIGNS: tuple[tuple[Cause, str], ...] = (
    ("wall time", r"due to time limit|walltime .*exceeded|exceeded .*wall ?(time|clock)"),
    (
        "memory",
        r"out of memory|oom.?kill|cannot allocate memory|bad_alloc|insufficient virtual memory|not enough memory"
        r"|allocation would exceed memory limit|exceeded (job )?memory limit|error allocating",
    ),
    # gfortran, Intel and NVIDIA on a namelist with a name they do not know; four_phonon stands there only if asked for.
    ("four phonons", r"(cannot match namelist|invalid reference to variable in namelist|namelist.*not recogni).*"),
    ("error", r"^\s*(fortran runtime )?(\*+\s*)?error\b.*|^forrtl: severe.*|segmentation fault.*"),
)


def cause(text: str, four_phonons: bool) -> tuple[Cause, str]:
    """Find what ended a run, with the line that tells it.

    Parameters
    ----------
    text
        What program and scheduler printed.
    four_phonons
        Whether the input had names that a ShengBTE without FourPhonon does not know.
    """
    for found, pattern in _SIGNS:
        match = re.search(pattern, text, re.IGNORECASE | re.MULTILINE)
        if match is None:
            continue
        start = text.rfind("\n", 0, match.start()) + 1
        line = text[start:].splitlines()[0].strip()
        return ("error" if found == "four phonons" and not four_phonons else found), line
    return "nothing", ""
