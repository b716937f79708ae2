"""The input script of LAMMPS for a run of the task ``md`` or ``nemd``.

Time goes by blocks, as in the compiled loop: behind each the script writes the state and a line of progress, and looks
at the clock. Dumps and series have the strides of the task.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from aiida_iontherm.physics.dynamics import MdSettings
from aiida_iontherm.physics.dynamics.blocks import RUNAWAY_FACTOR
from aiida_iontherm.tasks.lammps_files.heat_exchange import profile, reservoirs
from aiida_iontherm.tasks.lammps_files.layout import (
    COLUMNS,
    DATA,
    EQUILIBRATION,
    MLIP_INI,
    POTENTIAL,
    PRODUCTION,
    Place,
    dump_name,
    restart_name,
    series_name,
)
from aiida_iontherm.tasks.lammps_files.section import LammpsSection

BAR_PER_GPA = 1e4

SKIN = 1.0
"""Angstrom by which neighbour lists reach farther than the potential: about right for solids."""

CHAIN = 3
"""Thermostats of a Nose-Hoover chain, as many as in the compiled loop."""

LARGEST_SEED = 900_000_000

PARTIAL, CLOCK = "partial.restart", "clock.dat"

CELL_SERIES = ("lx", "ly", "lz", "xy", "xz", "yz")


@dataclass(frozen=True, kw_only=True, eq=False)
class ScriptInput:
    """What a script is written from.

    Attributes
    ----------
    settings : MdSettings
    section : LammpsSection
    species : tuple of str
        Elements of the atom types.
    present : tuple of str
        Those of them in the crystal, in the same order.
    frozen : tuple of int
        Indices of held atoms, from 0.
    box : float array [3, 3]
        Cell at the start, in the axes of LAMMPS.
    begin : Place
    energy_sum : float
        Of the total energies at the ends of blocks in the second half of the equilibration, as far as they are behind.
    seconds : float or None
        Wall time that LAMMPS may take.
    doing : str
        What the lines of progress say.
    """

    settings: MdSettings
    section: LammpsSection
    species: tuple[str, ...]
    present: tuple[str, ...]
    frozen: tuple[int, ...]
    box: npt.NDArray[np.float64]
    begin: Place
    energy_sum: float
    seconds: float | None
    doing: str


def input_script(run: ScriptInput) -> str:
    """Return the text of ``in.lammps``."""
    lines = [
        f"# {run.doing}: from block {run.begin.block} of {run.settings.blocks}",
        # The log is kept with the results: what is repeated behind each block would fill it.
        "echo none",
        "variable begin timer",
        "variable before timer",
        f"variable kept string {restart_name(run.begin.block, run.settings) if run.begin.block else 'none'}",
        *_ranks(run.section),
        *_crystal(run),
        *_pair_style(run),
        f"neighbor {SKIN} bin",
        "neigh_modify every 1 delay 0 check yes",
        *run.section.extra,
        f"timestep {_number(run.settings.timestep_fs / 1000)}",
        f"thermo {run.settings.block_steps}",
        *_groups(run),
    ]
    if run.begin.phase == EQUILIBRATION:
        lines += [*_equilibration(run), *_to_production(run)]
    elif run.begin.step == 0:
        lines += _to_production(run)
    return "\n".join([*lines, *_production(run)]) + "\n"


def mlip_ini() -> str:
    """Return the file that MLIP-2 wants beside its potential."""
    return f"mtp-filename {POTENTIAL}\nselect FALSE\n"


def _number(value: float) -> str:
    return f"{value:.12g}"


def _ranks(section: LammpsSection) -> list[str]:
    if section.ranks is None:
        return []
    said = f"ERROR: this LAMMPS has ${{ranks}} MPI processes, not {section.ranks}: take the mpiexec of its own MPI"
    return [
        "variable ranks equal extract_setting(world_size)",
        f'if "${{ranks}} != {section.ranks}" then "print \'{said}\'" "quit 1"',
    ]


def _crystal(run: ScriptInput) -> list[str]:
    plugin = [f"plugin load {run.section.plugin}"] if run.section.plugin else []
    if run.begin.block:
        # Units, boundaries, atoms and groups are in the file.
        return [*plugin, f"read_restart {restart_name(run.begin.block, run.settings)}"]
    return ["units metal", "atom_style atomic", "boundary p p p", "newton on", *plugin, f"read_data {DATA}"]


def _pair_style(run: ScriptInput) -> list[str]:
    if run.section.pair == "iontherm":
        return [f"pair_style iontherm/mtp {POTENTIAL}", f"pair_coeff * * {' '.join(run.species)}"]
    # The types of MLIP are numbers, in the order of the potential, as ours are.
    file = MLIP_INI if run.section.pair == "mlip-2" else f"load_from={POTENTIAL} extrapolation_control=false"
    return [f"pair_style mlip {file}", "pair_coeff * *"]


def _groups(run: ScriptInput) -> list[str]:
    frozen = [f"group frozen id {part}" for part in _ranges(run.frozen)]
    free = ["group free subtract all frozen"] if frozen else ["group free union all"]
    # Where no atom is held the centre of mass rests, and there are three degrees of freedom less.
    degrees = ["compute_modify temperature extra/dof 0"] if frozen else []
    return [
        *frozen,
        *free,
        "compute temperature free temp",
        *degrees,
        "variable temperature equal c_temperature",
        "compute virial all pressure NULL virial",
    ]


def _ranges(indices: Sequence[int], at_once: int = 20) -> list[str]:
    """Numbers of atoms, from 1, as LAMMPS takes them, some in each text."""
    numbers = np.asarray(indices, dtype=int) + 1
    parts = np.split(numbers, np.flatnonzero(np.diff(numbers) > 1) + 1) if len(numbers) else []
    texts = [f"{part[0]}:{part[-1]}" if len(part) > 1 else f"{part[0]}" for part in parts]
    return [" ".join(texts[first : first + at_once]) for first in range(0, len(texts), at_once)]


def _equilibration(run: ScriptInput) -> list[str]:
    settings, blocks = run.settings, run.settings.equilibration_blocks
    half = blocks // 2 * settings.block_steps
    energies = f"variable energies string $(v_energies+(step>{half})*etotal:%.17g)"
    return [
        "",
        f"# {EQUILIBRATION}, with Langevin's thermostat",
        *_bath(run, EQUILIBRATION, "langevin"),
        *_watched(run, EQUILIBRATION),
        f"variable energies string {run.energy_sum:.17g}",
        *_advance(run, EQUILIBRATION, [energies] if settings.ensemble == "nve" else []),
        *(f"unfix {name}" for name in (*_names_of_fixes(_bath(run, EQUILIBRATION, "langevin")), "runaway", "energies")),
        "undump state",
    ]


def _to_production(run: ScriptInput) -> list[str]:
    """Take up the mean energy of the second half of the equilibration, as the compiled loop does, and count anew."""
    blocks = run.settings.equilibration_blocks
    lines = []
    if run.settings.ensemble == "nve" and blocks >= 4:
        lines += [
            "",
            "# the energy of the moment becomes its mean in equilibrium",
            # What was read from a file has no energy yet.
            *(["run 0 post no"] if run.begin.phase == PRODUCTION else []),
            f"variable wanted equal {_energies(run)}/{blocks - blocks // 2}",
            "variable factor equal (v_wanted-pe)/ke",
            "variable factor equal $(ternary(v_factor<0.25,0.25,ternary(v_factor>4,4,v_factor)):%.17g)",
            "velocity all scale $(temp*v_factor:%.17g)",
        ]
    return [*lines, "reset_timestep 0"] if blocks else lines


def _energies(run: ScriptInput) -> str:
    return "v_energies" if run.begin.phase == EQUILIBRATION else f"{run.energy_sum:.17g}"


def _production(run: ScriptInput) -> list[str]:
    settings = run.settings
    return [
        "",
        f"# {PRODUCTION}, {settings.ensemble}",
        *_bath(run, PRODUCTION, settings.thermostat if settings.ensemble != "nve" else None),
        *(reservoirs(settings.heat_exchange, run.box) if settings.heat_exchange else []),
        *_watched(run, PRODUCTION),
        *_dump("positions", settings.position_stride, PRODUCTION),
        *_dump("velocities", settings.velocity_stride, PRODUCTION),
        *_dump("snapshots", settings.snapshot_stride, PRODUCTION),
        *_cells(settings),
        *_energies_of_atoms(settings),
        *_currents(run),
        *_profile(run),
        *_advance(run, PRODUCTION, []),
    ]


def _bath(run: ScriptInput, phase: str, thermostat: str | None) -> list[str]:
    """Integrator, thermostat and barostat of the ensemble."""
    settings = run.settings
    temperature = f"{_number(settings.temperature_k)} {_number(settings.temperature_k)}"
    # The place in the sequence of random numbers is not in the state of LAMMPS: what goes on takes another sequence.
    words = np.random.SeedSequence([settings.seed, run.begin.block, phase == PRODUCTION]).generate_state(1)
    seed = 1 + int(words[0]) % LARGEST_SEED
    barostat = _barostat(settings) if settings.ensemble == "npt" else ""
    if thermostat == "nose-hoover":
        chain = f"temp {temperature} {_number(settings.relaxation_ps)} tchain {CHAIN}"
        style = "npt" if barostat else "nvt"
        return [f"fix move free {style} {chain}{barostat}", "fix_modify move temp temperature"]
    lines = [f"fix move free nph{barostat}" if barostat else "fix move free nve"]
    if thermostat == "langevin":
        # The noise has no drift where nothing holds the crystal.
        zero = "no" if run.frozen else "yes"
        damping = _number(1 / settings.friction_per_ps)
        lines.append(f"fix bath free langevin {temperature} {damping} {seed} zero {zero}")
    elif thermostat == "bussi":
        lines.append(f"fix bath free temp/csvr {temperature} {_number(settings.relaxation_ps)} {seed}")
        lines.append("fix_modify bath temp temperature")
    return lines


def _names_of_fixes(lines: Sequence[str]) -> list[str]:
    return [line.split()[1] for line in lines if line.startswith("fix ")]


def _barostat(settings: MdSettings) -> str:
    """Arguments of a barostat that holds the corner of the cell, and that never exchanges equivalent cells."""
    kind = {"isotropic": "iso", "orthorhombic": "aniso", "triclinic": "tri"}[settings.barostat]
    pressure = _number(settings.pressure_gpa * BAR_PER_GPA)
    flip = " flip no" if kind == "tri" else ""
    return f" {kind} {pressure} {pressure} {_number(settings.pressure_relaxation_ps)} fixedpoint 0 0 0{flip}"


def _watched(run: ScriptInput, phase: str) -> list[str]:
    """Energies and state at the end of each block, and an end where the crystal runs away."""
    block, hot = run.settings.block_steps, RUNAWAY_FACTOR * run.settings.temperature_k
    return [
        f"fix runaway all halt {block} v_temperature > {_number(hot)} error hard",
        _series("energies", block, phase, ["c_thermo_pe", *(f"c_virial[{k}]" for k in (1, 2, 3))]),
        *_dump("state", block, phase),
    ]


def _dump(what: str, stride: int, phase: str) -> list[str]:
    if not stride:
        return []
    return [f"dump {what} all custom {stride} {dump_name(phase, what)} {COLUMNS[what]}"]


def _series(what: str, stride: int, phase: str, values: Sequence[str]) -> str:
    # Means over one step: the values themselves, at the steps of the dumps.
    return (
        f"fix {what} all ave/time {stride} 1 {stride} {' '.join(values)} file {series_name(phase, what)} "
        'format " %.17g"'
    )


def _cells(settings: MdSettings) -> list[str]:
    if not settings.thermo_stride:
        return []
    values = [f"v_{name}" for name in CELL_SERIES]
    return [
        *(f"variable {name} equal {name}" for name in CELL_SERIES),
        _series("cells", settings.thermo_stride, PRODUCTION, values),
    ]


def _energies_of_atoms(settings: MdSettings) -> list[str]:
    """Energies and virials of atoms, of which heat currents are made."""
    if not settings.current_stride and settings.heat_exchange is None:
        return []
    return [
        "compute ke all ke/atom",
        "compute pe all pe/atom",
        "compute stress all centroid/stress/atom NULL virial",
    ]


def _currents(run: ScriptInput) -> list[str]:
    """Heat current, in all and its convective part, and sum of the velocities, of each species."""
    if not run.settings.current_stride:
        return []
    types = {symbol: n for n, symbol in enumerate(run.species, start=1)}
    lines, values = [], []
    for symbol in run.present:
        lines += [
            f"group {symbol} type {types[symbol]}",
            f"compute flux_{symbol} {symbol} heat/flux ke pe stress",
            f"compute current_{symbol} {symbol} reduce sum vx vy vz",
        ]
        values += [f"c_flux_{symbol}[*]", f"c_current_{symbol}[*]"]
    return [*lines, _series("currents", run.settings.current_stride, PRODUCTION, values)]


def _profile(run: ScriptInput) -> list[str]:
    if run.settings.heat_exchange is None:
        return []
    return profile(run.settings.heat_exchange, run.box, run.settings.block_steps, series_name(PRODUCTION, "profile"))


def _advance(run: ScriptInput, phase: str, commands: Sequence[str]) -> list[str]:
    """Make the blocks of a phase, with commands behind each."""
    settings = run.settings
    first = settings.equilibration_blocks if phase == PRODUCTION else 0
    last = settings.blocks if phase == PRODUCTION else settings.equilibration_blocks
    figures = json.dumps({"what": run.doing, "done": "DONE", "total": settings.blocks, "seconds": "SECONDS"})
    line = (
        figures.replace('"DONE"', f"$({first}+step/{settings.block_steps}:%.0f)")
        .replace('"SECONDS"', "$(v_now-v_begin:%.2f)")
        .replace("}", ', "figures": {"temperature": $(v_temperature:%.6g)}}')
    )
    behind = [
        f"write_restart {PARTIAL}",
        f"shell mv {PARTIAL} {phase}.$(step).restart",
        "shell rm -f ${kept}",
        f"variable kept string {phase}.$(step).restart",
        *commands,
        "variable now timer",
        f"print '{line}' append progress.jsonl",
    ]
    if run.seconds is not None:
        behind += [
            # Every process has a clock of its own: the first one tells the others, or some would go on.
            f"print $(v_now-v_begin+1.5*(v_now-v_before)) file {CLOCK} screen no",
            f"variable clock file {CLOCK}",
            f"if '${{clock}} > {_number(run.seconds)}' then quit",
            "variable clock delete",
        ]
    behind.append("variable before timer")
    return [
        f"run {(last - first) * settings.block_steps} upto post no every {settings.block_steps} &",
        *_continued([f'"""{command}"""' for command in behind]),
    ]


def _continued(lines: Sequence[str]) -> list[str]:
    return [*(f"  {line} &" for line in lines[:-1]), f"  {lines[-1]}"]
