"""Write OSZICAR: one line for each electronic step, one for each ionic step."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiida_iontherm.engines.mock_vasp.formats import exponential

if TYPE_CHECKING:
    from aiida_iontherm.engines.mock_vasp.results import Run

COLUMNS = "       N       E                     dE             d eps       ncg     rms          rms(c)\n"


def head(run: Run) -> str:
    """Return nothing: the columns are named anew for each ionic step."""
    return ""


def electronic(run: Run, index: int) -> str:
    """Return the electronic steps of an ionic step."""
    previous = 0.0
    lines = []
    for number, energy in enumerate(run.steps[index].electronic.energies, start=1):
        change = exponential(energy - previous, 5)
        lines.append(
            f"DAV:{number:4d}{exponential(energy, 12):>23s}{change:>15s}{change:>15s}{0:6d}{exponential(0.0, 3):>12s}\n"
        )
        previous = energy
    return COLUMNS + "".join(lines)


def ionic(run: Run, index: int) -> str:
    """Return the line with free energy F, energy at zero smearing E0, and change, or temperature and kinetic EK."""
    step = run.steps[index]

    def number(value: float) -> str:
        return exponential(value, 8, leading_zero=False)

    if step.motion is None:
        before = run.steps[index - 1].energy_free if index else 0.0
        change = exponential(step.energy_free - before, 6, leading_zero=False)
        return f"{index + 1:4d} F= {number(step.energy_free)} E0= {number(step.energy_zero)}  d E ={change}\n"
    motion = step.motion
    total = step.energy_free + motion.kinetic + motion.thermostat
    return (
        f"{index + 1:7d} T={motion.temperature:6.0f}. E= {number(total)} F= {number(step.energy_free)} "
        f"E0= {number(step.energy_zero)}  EK= {exponential(motion.kinetic, 5)} SP= {exponential(motion.thermostat, 2)} "
        f"SK= {exponential(0.0, 2)}\n"
    )


def tail(run: Run) -> str:
    """Return nothing."""
    return ""
