"""Failures acted on request, for whoever has to handle them.

``IONTHERM_MOCK_VASP_FAIL`` names one of `FAILURES`. With a count, ``scf:1``, only the first runs fail; the file named
by ``IONTHERM_MOCK_VASP_STATE`` grows by a byte a run and so remembers how many there were, in whatever folder.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from aiida_iontherm.engines.mock_vasp.errors import VaspStop

if TYPE_CHECKING:
    from collections.abc import Mapping

FAIL = "IONTHERM_MOCK_VASP_FAIL"
STATE = "IONTHERM_MOCK_VASP_STATE"


@dataclass(frozen=True)
class Failure:
    """What goes wrong.

    Attributes
    ----------
    stuck : bool
        No electronic loop converges: all NELM steps are made, the run goes on and ends as if it were well.
    creep : bool
        A relaxation makes all NSW steps and does not arrive.
    stops : str
        Where the run breaks off: "" nowhere, "start" before the first electronic step, "step" between two ionic steps,
        "writing" in the middle of an electronic loop. Half of the ionic steps are done then.
    message : str
        What standard output says.
    complaint : str
        What standard error says.
    exit_code : int
        How the process ends.
    """

    stuck: bool = False
    creep: bool = False
    stops: str = ""
    message: str = ""
    complaint: str = ""
    exit_code: int = 0


FAILURES: dict[str, Failure] = {
    "scf": Failure(stuck=True),
    "ionic": Failure(creep=True),
    "truncated": Failure(stops="writing", exit_code=137),
    "walltime": Failure(
        stops="step",
        complaint="slurmstepd: error: *** JOB 1 ON node CANCELLED AT 2000-01-01T00:00:00 DUE TO TIME LIMIT ***\n",
        exit_code=143,
    ),
    "memory": Failure(stops="start", complaint="forrtl: severe (41): insufficient virtual memory\n", exit_code=41),
    "brmix": Failure(
        message=" BRMIX: very serious problems\n the old and the new charge density differ\n"
        " old charge density:    8.00000 new    8.10000\n"
    ),
    "eddrmm": Failure(message=" WARNING in EDDRMM: call to ZHEGV failed, returncode =   6  3      7\n"),
    "edddav": Failure(
        stops="writing", message=" Error EDDDAV: Call to ZHEGV failed. Returncode =  10   2   16\n", exit_code=1
    ),
    "zbrent": Failure(
        stops="step",
        message=" ZBRENT: fatal error in bracketing\n     please rerun with smaller EDIFF, or copy CONTCAR\n"
        "     to POSCAR and continue\n",
        exit_code=1,
    ),
    "sgrcon": Failure(
        stops="start",
        message=" VERY BAD NEWS! internal error in subroutine SGRCON:\n"
        " Found some non-integer element in rotation matrix       3\n",
        exit_code=1,
    ),
}
"""By name; the messages are VASP's own, a compiler's or a scheduler's."""


def planned_failure(environment: Mapping[str, str]) -> Failure | None:
    """Return the failure that this run is to act, and count the run.

    Raises
    ------
    VaspStop
        If the failure is unknown, or a count comes without a file to count in.
    """
    name, _, count = environment.get(FAIL, "").partition(":")
    if not name:
        return None
    if name not in FAILURES:
        close = difflib.get_close_matches(name, FAILURES, n=1)
        hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(FAILURES)}"
        raise VaspStop(f"ERROR: {FAIL} names no failure {name}: {hint}")
    if not count:
        return FAILURES[name]
    if not count.isdigit() or STATE not in environment:
        raise VaspStop(f"ERROR: {FAIL} = {name}:COUNT wants a number, and in {STATE} a file that remembers it.")
    # Appending a byte is one act of the operating system: runs side by side get different places.
    with Path(environment[STATE]).open("ab") as state:
        state.write(b".")
        state.flush()
        place = state.tell()
    return FAILURES[name] if place <= int(count) else None
