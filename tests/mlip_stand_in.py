"""A stand-in for ``mlp`` of MLIP-2 and MLIP-3: takes their command lines, reads and writes their files.

What it computes is ours: training, selection and evaluation of `aiida_iontherm.physics.mtp`. Potentials have the flat
layout, sets the layout and the few decimals of real ones (six, twelve of the energy, five of the stress). Types are
numbers; the symbols they get here are of light elements, whose radii are small enough for any real distance. The
selection state of MLIP-3 is our active set behind the first line of a real one: binary, as that is.

``python mlip_stand_in.py GENERATION COMMAND ...``
"""

import io
import sys
from dataclasses import replace
from pathlib import Path
from typing import TextIO

import numpy as np
from ase import Atoms

from aiida_iontherm.physics.mtp import MomentTensorPotential, TrainingState, train
from aiida_iontherm.physics.mtp.basis import basis_tables
from aiida_iontherm.physics.mtp.files import MtpFile, read_cfg, read_mtp_file, write_mtp_file
from aiida_iontherm.physics.mtp.selection import (
    ActiveSet,
    active_set_from_arrays,
    active_set_of,
    active_set_to_arrays,
    configuration_rows,
    select_configurations,
)

SYMBOLS = ["B", "C", "F", "H", "N", "O"]
STATE = b"#MVS_v1.1\n"
LIMIT = 12
"""Iterations after which the stand-in is content: BFGS takes hundreds, ours a few."""

SELECT_THRESHOLD = 1.1
VOIGT = ("xx", "yy", "zz", "yz", "xz", "xy")

OPTIONS = {
    2: {
        "train": {
            "trained-pot-name", "curr-pot-name", "max-iter", "bfgs-conv-tol", "energy-weight", "force-weight",
            "stress-weight", "weighting", "update-mindist", "init-params", "skip-preinit", "valid-cfgs",
            "scale-by-force",
        },
        "select-add": {"als-filename"},
        "calc-efs": set(),
    },
    3: {
        "train": {
            "save_to", "iteration_limit", "tolerance", "energy_weight", "force_weight", "stress_weight", "al_mode",
            "init_random", "weight_scaling", "weight_scaling_forces", "skip_preinit",
        },
        "select_add": set(),
        "calculate_efs": {"output_filename"},
    },
}  # fmt: skip


def main(generation: int, command: str, arguments: list[str]) -> None:
    """Do what a command line says."""
    known = OPTIONS[generation].get(command)
    if known is None:
        fail(f"unknown command {command}")
    names = [argument for argument in arguments if not argument.startswith("--")]
    options = dict(argument[2:].partition("=")[::2] for argument in arguments if argument.startswith("--"))
    for name in options:
        if name not in known:
            fail(f"unknown option {name}")
    {"train": fit, "select-add": select, "select_add": select, "calc-efs": evaluate, "calculate_efs": evaluate}[
        command
    ](generation, names, options)


def fail(message: str) -> None:
    """End as MLIP does."""
    say(f"ERROR: {message}", sys.stderr)
    sys.exit(1)


def say(line: str, stream: TextIO | None = None) -> None:
    """Print a line at once: a job that is killed has said what it said."""
    print(line, file=stream, flush=True)


def fit(generation: int, names: list[str], options: dict[str, str]) -> None:
    """Train."""
    source, training_set = names
    content = read_mtp_file(source, untrained=True)
    frames = read_cfg(training_set, SYMBOLS[: content.species_count])
    prefix = ("energy-weight", "force-weight", "stress-weight")
    if generation == 3:
        prefix = tuple(name.replace("-", "_") for name in prefix)
    weights = [float(options.get(name, default)) for name, default in zip(prefix, (1, 0.01, 0.001), strict=True)]
    limit = int(options.get("max-iter" if generation == 2 else "iteration_limit", 1000))
    target = Path(
        options.get("trained-pot-name", "Trained.mtp_") if generation == 2 else options.get("save_to", source)
    )
    current = options.get("curr-pot-name")
    say("Pre-training started\nBFGS iter 0: f=9.9\nBFGS ended")

    def on_step(state: TrainingState) -> bool:
        say(f"BFGS iter {state.iteration}: f={state.history[-1, 1]:.10g}")
        return True

    # The first that fits: tables of high levels take long to make.
    level = next(k for k in range(2, 30, 2) if len(basis_tables(k).scalars) == len(content.tables.scalars))
    result = train(
        frames,
        level=level,
        cutoff=content.cutoff,
        min_distance=content.min_distance,
        weights=tuple(weights),
        radial_size=content.radial_coeffs.shape[-1],
        validation_fraction=0.0,
        max_iterations=min(limit, LIMIT),
        n_starts=1,
        start=potential_of(content) if content.trained else None,
        on_step=on_step,
    )
    say("step limit reached" if limit < LIMIT else "BFGS ended")
    state = b""
    if generation == 3 and options.get("al_mode") == "nbh":
        stream = io.BytesIO()
        np.savez(stream, **active_set_to_arrays(result.potential.active_set))
        state = STATE + stream.getvalue()
    found = result.potential
    trained = replace(
        content,
        tables=found.tables,
        radial_coeffs=found.radial_coeffs,
        species_coeffs=found.species_coeffs,
        moment_coeffs=found.moment_coeffs,
        scaling=found.scaling,
        selection_state=state,
        trained=True,
    )
    write_mtp_file(target, trained)
    if current is not None:
        write_mtp_file(current, trained)


def select(generation: int, names: list[str], options: dict[str, str]) -> None:
    """Choose candidates."""
    source, training_set, candidates, target = names
    content = read_mtp_file(source)
    potential = potential_of(content)
    frames = read_cfg(candidates, potential.species)
    active_set = active_set_of(potential, read_cfg(training_set, potential.species))
    if generation == 3 and state_of(content, potential).rank != active_set.rank:
        fail("the selection state is of another training set")
    rows = [configuration_rows(potential, atoms, "neighbourhood") for atoms in frames]
    found = select_configurations(rows, active_set, threshold_select=SELECT_THRESHOLD)
    # What was known before is not news, even where the others drive it out of the active set.
    chosen = [index for index in found.indices if found.before[index] > SELECT_THRESHOLD]
    text = "".join(
        cfg_text(frames[index], potential.species, f" Feature   MV_grade\t{found.before[index]:.6f}\n")
        for index in chosen
    )
    Path(target).write_text(text)
    say(f"{len(frames)} configurations read, {len(chosen)} selected")


def evaluate(generation: int, names: list[str], options: dict[str, str]) -> None:
    """Compute energies, forces and stresses."""
    if len(names) != (3 if generation == 2 else 2):
        fail("wrong number of arguments")
    potential = potential_of(read_mtp_file(names[0]))
    frames = read_cfg(names[1], potential.species)
    target = options.get("output_filename", names[-1])
    text = "".join(cfg_text(atoms, potential.species, potential=potential) for atoms in frames)
    Path(target).write_text(text)
    say(f"{len(frames)} configurations processed")


def potential_of(content: MtpFile) -> MomentTensorPotential:
    """Potential with symbols for its types."""
    return MomentTensorPotential(
        species=tuple(SYMBOLS[: content.species_count]),
        tables=content.tables,
        min_distance=content.min_distance,
        cutoff=content.cutoff,
        radial_coeffs=content.radial_coeffs,
        species_coeffs=content.species_coeffs,
        moment_coeffs=content.moment_coeffs,
        scaling=content.scaling,
    )


def state_of(content: MtpFile, potential: MomentTensorPotential) -> ActiveSet:
    """Read the state behind the coefficients, all of it, and check that it belongs to them."""
    if not content.selection_state.startswith(STATE):
        fail("the potential has no selection state")
    with np.load(io.BytesIO(content.selection_state[len(STATE) :]), allow_pickle=False) as archive:
        return active_set_from_arrays({name: archive[name] for name in archive.files}, potential)


def cfg_text(
    atoms: Atoms, species: tuple[str, ...], features: str = "", *, potential: MomentTensorPotential | None = None
) -> str:
    """Lay out a configuration as MLIP does."""
    columns = [atoms.positions]
    header = " AtomData:  id type       cartes_x      cartes_y      cartes_z"
    tail = ""
    if potential is not None:
        found = potential.evaluate(atoms, virials=False)
        header += "           fx          fy          fz"
        columns.append(found.forces)
        virial = -atoms.cell.volume * found.stress[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]
        tail = f" Energy\n    {found.energy:22.12f}\n PlusStress:  " + "          ".join(VOIGT) + "\n    "
        tail += "".join(f"{value:12.5f}" for value in virial) + "\n"
    lines = ["BEGIN_CFG", " Size", f"    {len(atoms)}", " Supercell"]
    lines += ["    " + "".join(f"{value:14.6f}" for value in vector) for vector in atoms.cell.array]
    lines.append(header)
    for index, row in enumerate(np.hstack(columns)):
        kind = species.index(atoms[index].symbol)
        lines.append(f"    {index + 1:10d}{kind:5d}" + "".join(f"{value:14.6f}" for value in row))
    return "\n".join(lines) + "\n" + tail + features + "END_CFG\n\n"


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3:])
