"""Write vasprun.xml: a head, the electronic and the ionic part of each step, a tail."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

import numpy as np

from aiida_iontherm.engines.mock_vasp.formats import VERSION, seconds
from aiida_iontherm.engines.mock_vasp.parameters import incar_block, parameters_block

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aiida_iontherm.engines.mock_vasp.results import Run


def head(run: Run) -> str:
    """Return everything before the first ``<calculation>``; date and time are the same for all runs."""
    inputs = run.inputs
    start = inputs.atoms
    return (
        '<?xml version="1.0" encoding="ISO-8859-1"?>\n<modeling>\n <generator>\n'
        '  <i name="program" type="string">vasp </i>\n'
        f'  <i name="version" type="string">{VERSION}  </i>\n'
        f'  <i name="subversion" type="string">(iontherm-mock-vasp, engine {escape(run.engine)}: not VASP) </i>\n'
        '  <i name="platform" type="string">none </i>\n'
        '  <i name="date" type="string">2000 01 01 </i>\n  <i name="time" type="string">00:00:00 </i>\n </generator>\n'
        + incar_block(inputs)
        + _kpoints(run)
        + parameters_block(inputs)
        + _atoms(run)
        + _structure(start.cell.array, start.get_scaled_positions(wrap=True), ' name="initialpos" ', " ")
    )


def electronic(run: Run, index: int) -> str:
    """Return the electronic steps of an ionic step."""
    step = run.steps[index]
    blocks = []
    for energy in step.electronic.energies:
        offset = energy - step.energy_free
        blocks.append(
            '  <scstep>\n   <time name="total">    0.01    0.01</time>\n'
            + _energy(
                {
                    "e_fr_energy": energy,
                    "e_wo_entrp": step.energy_without_entropy + offset,
                    "e_0_energy": step.energy_zero + offset,
                },
                "   ",
            )
            + "  </scstep>\n"
        )
    return " <calculation>\n" + "".join(blocks)


def ionic(run: Run, index: int) -> str:
    """Return structure, forces, stress and final energies of an ionic step."""
    step = run.steps[index]
    energies = {
        "e_fr_energy": step.energy_free,
        "e_wo_entrp": step.energy_without_entropy,
        "e_0_energy": step.energy_zero,
    }
    if step.motion is not None:
        energies |= {
            "kinetic": step.motion.kinetic,
            "lattice kinetic": 0.0,
            "nosepot": step.motion.thermostat,
            "nosekinetic": 0.0,
            "total": step.energy_free + step.motion.kinetic + step.motion.thermostat,
        }
    text = _structure(step.cell, step.positions, "", "  ") + _varray("forces", step.forces, "  ")
    if step.stress is not None:
        text += _varray("stress", step.stress, "  ")
    spent = seconds(len(step.electronic.energies))
    return f'{text}{_energy(energies, "  ")}  <time name="totalsc">{spent:8.2f}{spent:8.2f}</time>\n </calculation>\n'


def tail(run: Run) -> str:
    """Return the final structure and closing tag."""
    return _structure(run.cell, run.positions, ' name="finalpos" ', " ") + "</modeling>\n"


def _structure(cell: np.ndarray, positions: np.ndarray, attributes: str, indent: str) -> str:
    volume = abs(np.linalg.det(cell))
    return (
        f"{indent}<structure{attributes}>\n{indent} <crystal>\n"
        + _varray("basis", cell, indent + "  ")
        + f'{indent}  <i name="volume">{volume:16.8f} </i>\n'
        + _varray("rec_basis", np.linalg.inv(cell).T, indent + "  ")
        + f"{indent} </crystal>\n"
        + _varray("positions", positions, indent + " ")
        + f"{indent}</structure>\n"
    )


def _varray(name: str, rows: Iterable[Iterable[float]], indent: str) -> str:
    lines = [f"{indent} <v> {' '.join(f'{number:16.8f}' for number in row)} </v>\n" for row in rows]
    return f'{indent}<varray name="{name}" >\n{"".join(lines)}{indent}</varray>\n'


def _energy(energies: dict[str, float], indent: str) -> str:
    lines = [f'{indent} <i name="{name}">{energy:16.8f} </i>\n' for name, energy in energies.items()]
    return f"{indent}<energy>\n{''.join(lines)}{indent}</energy>\n"


def _kpoints(run: Run) -> str:
    kpoints = run.inputs.kpoints
    text = " <kpoints>\n"
    if kpoints.divisions is not None:
        numbers = "".join(f"{number:9d}" for number in kpoints.divisions)
        shift = "".join(f" {number:16.8f}" for number in kpoints.shift)
        text += (
            f'  <generation param="{kpoints.style}">\n   <v type="int" name="divisions">{numbers} </v>\n'
            f'   <v name="usershift">{shift} </v>\n  </generation>\n'
        )
    text += _varray("kpointlist", kpoints.points, "  ") + _varray("weights", kpoints.weights[:, None], "  ")
    return text + " </kpoints>\n"


def _atoms(run: Run) -> str:
    inputs = run.inputs
    blocks = list(zip(inputs.potcars, inputs.counts, strict=True))
    atoms = "".join(
        f"    <rc><c>{potcar.element:2s}</c><c>{kind:4d}</c></rc>\n" * count
        for kind, (potcar, count) in enumerate(blocks, start=1)
    )
    types = "".join(
        f"    <rc><c>{count:4d}</c><c>{potcar.element:2s}</c><c>{potcar.mass:16.8f}</c><c>{potcar.valence:16.8f}</c>"
        f"<c> {escape(potcar.title):40s}</c></rc>\n"
        for potcar, count in blocks
    )
    return (
        f" <atominfo>\n  <atoms>{len(inputs.atoms):8d} </atoms>\n  <types>{len(blocks):8d} </types>\n"
        '  <array name="atoms" >\n   <dimension dim="1">ion</dimension>\n   <field type="string">element</field>\n'
        f'   <field type="int">atomtype</field>\n   <set>\n{atoms}   </set>\n  </array>\n'
        '  <array name="atomtypes" >\n   <dimension dim="1">type</dimension>\n'
        '   <field type="int">atomspertype</field>\n   <field type="string">element</field>\n   <field>mass</field>\n'
        '   <field>valence</field>\n   <field type="string">pseudopotential</field>\n'
        f"   <set>\n{types}   </set>\n  </array>\n </atominfo>\n"
    )
