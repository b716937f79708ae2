"""Write OUTCAR: a head, the electronic and the ionic part of each step, a tail."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from aiida_iontherm.engines.mock_vasp import basis
from aiida_iontherm.engines.mock_vasp.formats import RULE, VERSION, exponential, seconds
from aiida_iontherm.engines.mock_vasp.results import KILOBAR
from aiida_iontherm.engines.mock_vasp.settings import CONJUGATE_GRADIENTS, DYNAMICS, QUASI_NEWTON

if TYPE_CHECKING:
    from aiida_iontherm.engines.mock_vasp.inputs import Inputs
    from aiida_iontherm.engines.mock_vasp.potcar import Potcar
    from aiida_iontherm.engines.mock_vasp.results import IonicStep, Motion, Run

METHODS = {
    DYNAMICS: "molecular dynamics for ions",
    QUASI_NEWTON: "quasi-Newton-method for relaxation of ions",
    CONJUGATE_GRADIENTS: "conjugate gradient relaxation of ions",
}
LINE = RULE + "\n"


def banner(engine: str) -> str:
    """Return the first lines; all there is when the input is bad."""
    return (
        f" vasp.{VERSION} (iontherm-mock-vasp, engine {engine}: not VASP) complex\n\n"
        " executed on                 none date 2000.01.01  00:00:00\n running on    1 total cores\n"
        " distrk:  each k-point on    1 cores,    1 groups\n distr:  one band on NCORE=   1 cores,    1 groups\n\n\n"
        f"{LINE}\n\n"
    )


def head(run: Run) -> str:
    """Return the echo of the input, dimensions, k-points: everything before the first electronic step."""
    inputs = run.inputs
    tags = "".join(f"   {name} = {value}\n" for name, value in inputs.incar.tags.items())
    titles = "".join(f" POTCAR:    {potcar.title}\n" for potcar in inputs.potcars)
    velocities = "Initial velocities read in" if inputs.atoms.has("momenta") else "No initial velocities read in"
    return (
        f"{banner(run.engine)} INCAR:\n{tags}\n{titles}{titles}"
        + "".join(_pseudopotential(potcar) for potcar in inputs.potcars)
        + f"\n POSCAR: {inputs.comment}\n  positions in direct lattice\n  {velocities}\n\n\n\n{LINE}\n\n"
        + f" KPOINTS: {inputs.kpoints.comment}\n\n\n\n{LINE}\n\n\n\n"
        + _dimensions(inputs)
        + _settings(inputs)
        + f"\n\n\n{LINE}\n\n {METHODS.get(inputs.settings.ibrion, 'Static calculation')}\n\n\n{LINE}\n\n"
        + _cell(inputs.atoms.cell.array, inputs)
        + "\n"
        + _kpoints(inputs)
    )


def electronic(run: Run, index: int) -> str:
    """Return the electronic steps of an ionic step."""
    step = run.steps[index]
    electrons = basis.electrons(run.inputs)
    previous = 0.0
    blocks = []
    for number, energy in enumerate(step.electronic.energies, start=1):
        offset = energy - step.energy_free
        change = exponential(energy - previous, 7)
        spent = seconds(1)
        blocks.append(
            f"{'-' * 39} Iteration {index + 1:6d}({number:4d})  {'-' * 39}\n\n\n"
            f"      LOOP:  cpu time{spent:10.4f}: real time{spent:10.4f}\n\n"
            f" total energy-change (2. order) :{change:>14s}  ({change:>14s})\n"
            f" number of electron {electrons:15.7f} magnetization \n\n"
            " Free energy of the ion-electron system (eV)\n  ---------------------------------------------------\n"
            f"  free energy    TOTEN  = {energy:18.8f} eV\n\n"
            f"  energy without entropy = {step.energy_without_entropy + offset:17.8f}"
            f"  energy(sigma->0) = {step.energy_zero + offset:17.8f}\n\n\n{LINE}\n\n\n\n"
        )
        previous = energy
    return "".join(blocks)


def ionic(run: Run, index: int) -> str:
    """Return stress, forces, energies and what the ions do next."""
    step = run.steps[index]
    why = "because EDIFF is reached" if step.electronic.converged else "EDIFF was not reached (unconverged)"
    cartesian = step.positions @ step.cell
    rows = "".join(
        f" {''.join(f'{x:13.5f}' for x in position)} {''.join(f'{x:14.6f}' for x in force)}\n"
        for position, force in zip(cartesian, step.forces, strict=True)
    )
    rule = f" {'-' * 83}\n"
    drift = "".join(f"{x:14.6f}" for x in step.forces.sum(axis=0))
    spent = seconds(len(step.electronic.energies))
    text = (
        f"------------------------ aborting loop {why} {'-' * 40}\n\n\n"
        + _stress(step)
        + "\n VOLUME and BASIS-vectors are now :\n"
        + f" {'-' * 77}\n"
        + _cell(step.cell, run.inputs)
        + f"\n\n POSITION                                       TOTAL-FORCE (eV/Angst)\n{rule}{rows}{rule}"
        + f"    total drift:                           {drift}\n\n\n{LINE}\n\n\n"
        + "  FREE ENERGIE OF THE ION-ELECTRON SYSTEM (eV)\n  ---------------------------------------------------\n"
        + f"  free  energy   TOTEN  = {step.energy_free:18.8f} eV\n\n"
        + f"  energy  without entropy={step.energy_without_entropy:18.8f}"
        + f"  energy(sigma->0) ={step.energy_zero:18.8f}\n\n\n\n{LINE}\n\n"
    )
    if step.motion is not None:
        text += _motion(step.energy_free, step.motion)
    return f"{text}     LOOP+:  cpu time{spent:10.4f}: real time{spent:10.4f}\n\n\n"


def tail(run: Run) -> str:
    """Return the verdict of a relaxation, and the accounting by which readers know that the run came to its end."""
    spent = seconds(run.electronic_step_count)
    reached = " reached required accuracy - stopping structural energy minimisation\n" if run.reached else ""
    return (
        f"{reached}\n total amount of memory used by VASP MPI-rank0    30000. kBytes\n{'=' * 71}\n\n"
        "   base      :      30000. kBytes\n\n\n\n"
        " General timing and accounting informations for this job:\n"
        " ========================================================\n\n"
        f"                  Total CPU time used (sec):{spent:13.3f}\n"
        f"                            User time (sec):{spent:13.3f}\n"
        f"                          System time (sec):{0:13.3f}\n"
        f"                         Elapsed time (sec):{spent:13.3f}\n\n"
        "                   Maximum memory used (kb):       30000.\n"
        "                   Average memory used (kb):          N/A\n\n"
        "                          Minor page faults:            0\n"
        "                          Major page faults:            0\n"
        "                 Voluntary context switches:            0\n"
    )


def _pseudopotential(potcar: Potcar) -> str:
    return (
        f"   VRHFIN ={potcar.element}: \n   LEXCH  = {potcar.lexch}\n   TITEL  = {potcar.title}\n"
        f"   POMASS ={potcar.mass:9.3f}; ZVAL   ={potcar.valence:9.3f}    mass and valenz\n"
        f"   ENMAX  ={potcar.cutoff:9.3f}; ENMIN  ={0.75 * potcar.cutoff:9.3f} eV\n\n"
    )


def _dimensions(inputs: Inputs) -> str:
    grid = basis.grid(inputs)
    counts = "".join(f"{count:6d}" for count in inputs.counts)
    points = len(inputs.kpoints.points)
    fine = "   ".join(f"NG{axis}F={2 * number:5d}" for axis, number in zip("XYZ", grid, strict=True))
    return (
        f" Dimension of arrays:\n   k-points           NKPTS ={points:7d}   k-points in BZ     NKDIM ={points:7d}"
        f"   number of bands    NBANDS={basis.bands(inputs):7d}\n"
        f"   number of dos      NEDOS ={inputs.incar.integer('NEDOS', 301):7d}"
        f"   number of ions     NIONS ={len(inputs.atoms):7d}\n"
        f"   total plane-waves  NPLWV ={int(np.prod(grid)):7d}\n"
        f"   dimension x,y,z NGX ={grid[0]:6d} NGY ={grid[1]:5d} NGZ ={grid[2]:5d}\n   support grid    {fine}\n"
        f"   ions per type =          {counts}\n\n SYSTEM =  {basis.title(inputs)}\n POSCAR =  {inputs.comment}\n\n"
    )


def _settings(inputs: Inputs) -> str:
    incar, settings = inputs.incar, inputs.settings
    masses = "".join(f"{potcar.mass:6.2f}" for potcar in inputs.potcars)
    valences = "".join(f"{potcar.valence:6.2f}" for potcar in inputs.potcars)
    return (
        f" Startparameter for this run:\n   PREC   = {incar.text('PREC', 'normal')[:6].lower():6s}"
        "    normal or accurate (medium, high low for compatibility)\n"
        f"   ISPIN  ={incar.integer('ISPIN', 1):7d}    spin polarized calculation?\n"
        f"   LNONCOLLINEAR = {'T' if incar.logical('LNONCOLLINEAR', False) else 'F':>6s} non collinear calculations\n\n"
        f" Electronic Relaxation 1\n   ENCUT  ={settings.encut:7.1f} eV\n"
        f"   NELM   ={settings.nelm:7d};   NELMIN={settings.nelmin:3d}; NELMDL={incar.integer('NELMDL', -5):3d}"
        "     # of ELM steps\n"
        f"   EDIFF  ={exponential(settings.ediff, 1, False):>8s}   stopping-criterion for ELM\n Ionic relaxation\n"
        f"   EDIFFG ={exponential(settings.ediffg, 1, False):>8s}   stopping-criterion for IOM\n"
        f"   NSW    ={settings.nsw:7d}    number of steps for IOM\n"
        f"   NBLOCK ={settings.nblock:7d};   KBLOCK ={incar.integer('KBLOCK', 1):7d}    inner block; outer block\n"
        f"   IBRION ={settings.ibrion:7d}    ionic relax: 0-MD 1-quasi-New 2-CG\n"
        f"   ISIF   ={settings.isif:7d}    stress and relaxation\n"
        f"   ISYM   ={settings.isym:7d}    0-nonsym 1-usesym 2-fastsym\n\n"
        f"   POTIM  ={settings.potim:7.4f}    time-step for ionic-motion\n"
        f"   TEBEG  ={settings.tebeg:7.1f};   TEEND  ={settings.teend:6.1f} temperature during run\n"
        f"   SMASS  ={settings.smass:7.2f}    Nose mass-parameter (am)\n\n"
        f"  Mass of Ions in am\n   POMASS ={masses}\n  Ionic Valenz\n   ZVAL   ={valences}\n"
        f"   NELECT ={basis.electrons(inputs):13.4f}    total number of electrons\n"
    )


def _kpoints(inputs: Inputs) -> str:
    kpoints, atoms = inputs.kpoints, inputs.atoms
    waves = basis.plane_waves(inputs)

    def rows(points: np.ndarray) -> str:
        return "".join(
            f" {''.join(f'{x:12.8f}' for x in point)}{weight:12.3f}\n"
            for point, weight in zip(points, kpoints.weights, strict=True)
        )

    table = "".join(
        f" k-point{number:4d} :  {''.join(f'{x:7.4f}' for x in point)}  plane waves:{waves:8d}\n"
        for number, point in enumerate(kpoints.points, start=1)
    )
    fractions = "".join(f" {''.join(f'{x:12.8f}' for x in row)}\n" for row in atoms.get_scaled_positions())
    return (
        f" k-points in units of 2pi/SCALE and weight: {kpoints.comment}\n"
        + rows(kpoints.points @ atoms.cell.reciprocal().array)
        + f"\n k-points in reciprocal lattice and weights: {kpoints.comment}\n{rows(kpoints.points)}"
        + f"\n position of ions in fractional coordinates (direct lattice)\n{fractions}\n\n\n{LINE}\n\n{table}\n"
        + f" maximum and minimum number of plane-waves per node : {waves:9d}{waves:9d}\n\n\n{LINE}\n\n"
    )


def _cell(cell: np.ndarray, inputs: Inputs) -> str:
    reciprocal = np.linalg.inv(cell).T

    def row(left: np.ndarray, right: np.ndarray) -> str:
        return f"  {''.join(f'{x:13.9f}' for x in left)}  {''.join(f'{x:13.9f}' for x in right)}\n"

    return (
        f"  energy-cutoff  :{inputs.settings.encut:12.2f}\n  volume of cell :{abs(np.linalg.det(cell)):12.2f}\n"
        "      direct lattice vectors                 reciprocal lattice vectors\n"
        + "".join(row(left, right) for left, right in zip(cell, reciprocal, strict=True))
        + "\n  length of vectors\n"
        + row(np.linalg.norm(cell, axis=1), np.linalg.norm(reciprocal, axis=1))
    )


def _stress(step: IonicStep) -> str:
    if step.stress is None:
        return ""
    components = step.stress[[0, 1, 2, 0, 1, 2], [0, 1, 2, 1, 2, 0]]
    total = "".join(f"{x:12.5f}" for x in components * KILOBAR * step.volume)
    return (
        "  FORCE on cell =-STRESS in cart. coord.  units (eV):\n"
        "  Direction    XX          YY          ZZ          XY          YZ          ZX\n"
        f"  {'-' * 86}\n  Total {total}\n  in kB {''.join(f'{x:12.5f}' for x in components)}\n"
        f"  external pressure ={np.trace(step.stress) / 3:12.2f} kB  Pullay stress =        0.00 kB\n\n"
    )


def _motion(energy: float, motion: Motion) -> str:
    total = energy + motion.kinetic + motion.thermostat
    return (
        "  ENERGY OF THE ELECTRON-ION-THERMOSTAT SYSTEM (eV)\n  ---------------------------------------------------\n"
        f"% ion-electron   TOTEN  = {energy:16.6f}  see above\n"
        f"  kinetic energy EKIN   = {motion.kinetic:16.6f}\n"
        f"  kin. lattice  EKIN_LAT= {0:16.6f}  (temperature {motion.temperature:7.2f} K)\n"
        f"  nose potential ES     = {motion.thermostat:16.6f}\n  nose kinetic   EPS    = {0:16.6f}\n"
        f"  ---------------------------------------------------\n  total energy   ETOTAL = {total:16.6f} eV\n\n"
    )
