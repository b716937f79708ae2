"""Write what VASP says on standard output."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiida_iontherm.engines.mock_vasp import oszicar
from aiida_iontherm.engines.mock_vasp.formats import VERSION

if TYPE_CHECKING:
    from aiida_iontherm.engines.mock_vasp.inputs import Inputs
    from aiida_iontherm.engines.mock_vasp.results import Run


def banner(engine: str) -> str:
    """Return the first lines; what bad input is complained of comes after them."""
    return (
        " running on    1 total cores\n distrk:  each k-point on    1 cores,    1 groups\n"
        " distr:  one band on    1 cores,    1 groups\n"
        f" vasp.{VERSION} (iontherm-mock-vasp, engine {engine}: not VASP) complex\n"
    )


def refusal(message: str) -> str:
    """Return the message that ends a run before it begins."""
    return f" {message}\n\n ---->  I REFUSE TO CONTINUE WITH THIS SICK JOB ... BYE!!! <----\n"


def head(run: Run) -> str:
    """Return everything up to the main loop."""
    return f"{banner(run.engine)}{_found(run.inputs)} entering main loop\n"


def electronic(run: Run, index: int) -> str:
    """Return the electronic steps, as in OSZICAR."""
    return ("" if index == 0 else " bond charge predicted\n") + oszicar.electronic(run, index)


def ionic(run: Run, index: int) -> str:
    """Return the line of the ionic step, as in OSZICAR."""
    return oszicar.ionic(run, index)


def tail(run: Run) -> str:
    """Return the verdict of a relaxation."""
    reached = " reached required accuracy - stopping structural energy minimisation\n" if run.reached else ""
    return f"{reached} writing wavefunctions\n"


def _found(inputs: Inputs) -> str:
    names = " ".join(potcar.element for potcar in inputs.potcars)
    return (
        f" POSCAR found type information on POSCAR {names}\n"
        f" POSCAR found : {len(inputs.counts):2d} types and {len(inputs.atoms):7d} ions\n"
        " POSCAR, INCAR and KPOINTS ok, starting setup\n WAVECAR not read\n"
    )
