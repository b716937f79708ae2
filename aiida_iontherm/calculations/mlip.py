"""CalcJobs of ``mlp``, the executable of MLIP-2 and MLIP-3, run as it is: train, select, evaluate.

Its files are written and read in `tasks.mlip_files`. What it leaves is compared with the reference, graded and given an
active set by our own tasks `train` and `select`, so that all records are alike.
"""

from __future__ import annotations

import tempfile
from abc import abstractmethod
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from aiida.common.datastructures import CalcInfo, CodeInfo
from aiida.common.exceptions import ValidationError
from aiida.common.folders import Folder
from aiida.engine import CalcJob, CalcJobProcessSpec, ExitCode
from aiida.orm import Dict
from aiida.parsers import Parser
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from aiida_iontherm.calculations.base import also_validate
from aiida_iontherm.data import ConfigurationsData, PotentialData
from aiida_iontherm.physics.mtp.files import MtpFile, read_mtp_file, write_mtp_file
from aiida_iontherm.physics.mtp.training import Parts, part_configurations
from aiida_iontherm.physics.mtp.training.configuration import species_of
from aiida_iontherm.tasks.mlip_files import (
    CANDIDATES,
    EVALUATED,
    SELECTED,
    TRAINING_SET,
    MlipSettings,
    MlipTraining,
    OtherPotential,
    OtherSet,
    current_name,
    efs_command,
    error_line,
    for_mlip,
    grade_of,
    initial_name,
    places,
    ran_out,
    read_trained,
    read_training_log,
    read_written,
    refuse_weights,
    select_command,
    set_to_evaluate,
    template,
    train_command,
    trained_name,
    write_labelled,
    write_unlabelled,
)
from aiida_iontherm.tasks.select import atoms_collide

STDOUT, STDERR = "mlp.out", "mlp.err"

OUT_OF_MEMORY, OUT_OF_WALLTIME = 110, 120
"""Exit codes of the schedulers that can tell (Slurm)."""

ALL_RANKS = "*"
"""After a name of which each rank may write one of its own."""


def parts_of(inputs: Any) -> Parts:
    """Return which configurations a training is shown, and which are held out.

    Raises
    ------
    ValueError
        If labels are missing or cannot be right, or configurations have weights of their own.
    """
    training = MlipTraining.of(inputs.parameters.get_dict())
    parts = part_configurations(
        inputs.configurations.frames(),
        validation_fraction=training.validation_fraction,
        seed=training.seed,
        outliers=training.outliers,
    )
    refuse_weights(parts.to_fit())
    return parts


def known_of(inputs: Any) -> Parts:
    """Return the configurations a selection starts from: all that the training was given and that can be right.

    Raises
    ------
    ValueError
        If labels are missing.
    """
    return part_configurations(inputs.configurations.frames(), validation_fraction=0.0, outliers="exclude")


def initial_of(inputs: Any, parts: Parts) -> tuple[MtpFile, list[str]]:
    """Return the potential a training starts from, and its species in their order.

    Raises
    ------
    ValueError
        If the potential to start from lacks a species.
    """
    training = MlipTraining.of(inputs.parameters.get_dict())
    species = list(species_of(parts.checked.kept))
    if "start" not in inputs:
        return template(training, species, parts.to_fit()), species
    inputs.start.potential().check_species(species)
    return file_of(inputs.start, training.mlip.generation), inputs.start.species


def usable_candidates(candidates: Any) -> list[tuple[str, int, Atoms]]:
    """Candidates worth a reference calculation, each with its run and its position in it, runs by their names."""
    return [
        (name, index, atoms)
        for name in sorted(candidates)
        for index, atoms in enumerate(candidates[name].frames())
        if not atoms_collide(atoms)
    ]


def file_of(potential: PotentialData, generation: int) -> MtpFile:
    """Return what is written of a potential for a generation of MLIP."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "potential.mtp"
        path.write_bytes(potential.get_content(mode="rb"))
        return for_mlip(read_mtp_file(path), generation)


class MlipCalculation(CalcJob):
    """One run of ``mlp``. Subclasses say which command, and write its files."""

    SETTINGS: ClassVar[type[MlipSettings | MlipTraining]] = MlipSettings

    @classmethod
    def define(cls, spec: CalcJobProcessSpec) -> None:
        """Declare what every command takes and gives."""
        super().define(spec)
        spec.input(
            "parameters",
            valid_type=Dict,
            validator=cls.validate_parameters,
            help="Settings, see `potential.mlip` of a protocol.",
        )
        options = spec.inputs["metadata"]["options"]
        options["resources"].default = lambda: {"num_machines": 1, "num_mpiprocs_per_machine": 1}
        options["withmpi"].default = True
        spec.output("output_parameters", valid_type=Dict, help="What `mlp` says of its work.")
        spec.default_output_node = "output_parameters"
        spec.exit_code(
            300,
            "ERROR_NO_OUTPUT",
            invalidates_cache=True,
            message="The program left no output: the job was killed or did not start. Run it again.",
        )
        spec.exit_code(
            312,
            "ERROR_MLP_OUT_OF_MEMORY",
            invalidates_cache=True,
            message="The memory ran out: set resources.mlip.memory to more.",
        )
        spec.exit_code(
            314,
            "ERROR_MLP_OUT_OF_WALLTIME",
            invalidates_cache=True,
            message="The wall time ran out{message}: set resources.mlip.walltime to more, or more cpus.",
        )
        spec.exit_code(
            330,
            "ERROR_CRASHED",
            invalidates_cache=True,
            message="mlp stopped: {message}. If it does not know a command or an option, set potential.mlip.generation "
            "or potential.mlip.options; mlp.out and mlp.err of the job say more.",
        )
        spec.exit_code(
            340,
            "ERROR_OUTPUT_FILE",
            invalidates_cache=True,
            message="An output is unusable: {message}. Look for a full disk or a killed job, then run again.",
        )
        spec.exit_code(
            341,
            "ERROR_OTHER_RESULTS",
            invalidates_cache=True,
            message="The results are not those of these inputs: {message}. Take from potential.mlip.options what "
            "changes potential or cells, then run again.",
        )

    @classmethod
    def validate_parameters(cls, node: Dict, _port: Any = None) -> str | None:
        """Say what is wrong with the settings."""
        try:
            cls.SETTINGS.of(node.get_dict())
        except ValueError as error:
            return str(error)
        return None

    @abstractmethod
    def write_inputs(self, folder: Path) -> tuple[list[str], list[str], list[str]]:
        """Write the files; return the arguments, the names to retrieve and those of files that follow from nodes."""

    def prepare_for_submission(self, folder: Folder) -> CalcInfo:
        """Write the files of the command."""
        arguments, retrieve, derived = self.write_inputs(Path(folder.abspath))
        code = CodeInfo()
        code.code_uuid = self.inputs.code.uuid
        code.cmdline_params = arguments
        code.stdout_name, code.stderr_name = STDOUT, STDERR
        info = CalcInfo()
        info.codes_info = [code]
        info.provenance_exclude_list = derived
        info.retrieve_list = [STDOUT, STDERR, *((name, ".", 0) if ALL_RANKS in name else name for name in retrieve)]
        return info


class MlipParser(Parser):
    """Reads what ``mlp`` wrote, or says why there is nothing to read."""

    def parse(self, **kwargs: Any) -> ExitCode | None:
        """Read the results."""
        exit_codes = self.exit_codes
        with self.retrieved.base.repository.as_path() as folder:
            try:
                return self.read(folder, self.log(folder))
            except (OtherPotential, OtherSet) as error:
                return exit_codes.ERROR_OTHER_RESULTS.format(message=str(error))
            except FileNotFoundError as error:
                return self.ended_early(folder, error)
            except (OSError, ValueError, ValidationError) as error:
                return self.ended_early(folder, error, incomplete=True)

    @abstractmethod
    def read(self, folder: Path, log: str) -> ExitCode | None:
        """Turn files into nodes; ``FileNotFoundError`` where there are none, ``ValueError`` where they are damaged."""

    def log(self, folder: Path) -> str:
        """Return all that was printed, errors last."""
        paths = [folder / name for name in (STDOUT, STDERR)]
        return "\n".join(path.read_text(encoding="utf-8", errors="replace") for path in paths if path.is_file())

    def ended_early(self, folder: Path, error: Exception, *, incomplete: bool = False) -> ExitCode:
        """Exit code for a run that has not written all it should."""
        exit_codes, printed = self.exit_codes, self.log(folder)
        found = ran_out(
            "\n".join([printed, self.node.get_scheduler_stderr() or "", self.node.get_scheduler_stdout() or ""])
        )
        if self.node.exit_status == OUT_OF_MEMORY or found == "memory":
            return exit_codes.ERROR_MLP_OUT_OF_MEMORY
        if self.node.exit_status == OUT_OF_WALLTIME or found == "wall time":
            return exit_codes.ERROR_MLP_OUT_OF_WALLTIME.format(message=self.kept(folder))
        line = error_line(printed)
        if line is not None:
            return exit_codes.ERROR_CRASHED.format(message=line)
        if incomplete or printed.strip():
            return exit_codes.ERROR_OUTPUT_FILE.format(message=str(error))
        return exit_codes.ERROR_NO_OUTPUT

    def kept(self, folder: Path) -> str:
        """Say what is kept of a run that was cut short, and keep it."""
        return ""

    @property
    def inputs(self) -> Any:
        """Inputs of the job."""
        return self.node.inputs


class MlipTrainCalculation(MlipCalculation):
    """``mlp train``: fit a moment tensor potential, from a template without coefficients or from a potential."""

    SETTINGS = MlipTraining

    @classmethod
    def define(cls, spec: CalcJobProcessSpec) -> None:
        """Declare the ports."""
        super().define(spec)
        spec.input(
            "configurations",
            valid_type=ConfigurationsData,
            help="Labelled with energies (eV), forces (eV/Angstrom) and, where there are any, stresses.",
        )
        spec.input("start", valid_type=PotentialData, required=False, help="Potential to start from.")
        spec.inputs["metadata"]["options"]["parser_name"].default = "iontherm.mlip_train"
        spec.output("potential", valid_type=PotentialData, help="As `mlp` wrote it; without an active set of ours.")
        spec.exit_code(
            710,
            "WARNING_TRAINING_NOT_CONVERGED",
            message="The training ended before the loss had settled ({message}): raise potential.mlip.max_iterations, "
            "or take the potential with its errors.",
        )

    def write_inputs(self, folder: Path) -> tuple[list[str], list[str], list[str]]:
        """Write the part of the set that is to be fitted, and the potential to start from."""
        training = MlipTraining.of(self.inputs.parameters.get_dict())
        generation = training.mlip.generation
        parts = parts_of(self.inputs)
        initial, species = initial_of(self.inputs, parts)
        write_mtp_file(folder / initial_name(generation), initial)
        write_labelled(folder / TRAINING_SET, parts.to_fit(), species)
        names = [trained_name(generation), current_name(generation)]
        # The set follows from a node and a seed, and may be large.
        return train_command(training), [name for name in names if name], [TRAINING_SET]


class MlipTrainParser(MlipParser):
    """The trained potential, and how the training ended."""

    def read(self, folder: Path, log: str) -> ExitCode | None:
        """Read the potential."""
        training = MlipTraining.of(self.inputs.parameters.get_dict())
        path = folder / trained_name(training.mlip.generation)
        if not path.is_file():
            raise FileNotFoundError(f"mlp wrote no {path.name}, but said: {_last_line(log)}")
        parts, found = self._read(path)
        said = read_training_log(log)
        converged, reason = said.outcome(training.mlip.max_iterations)
        figures: dict[str, Any] = {
            "generation": training.mlip.generation,
            "iterations": said.iterations,
            "loss": said.loss,
            "converged": converged,
            "reason": reason,
            "configurations": len(parts.checked.kept),
            "configurations_fitted": len(parts.fitted),
            "cutoff": found.cutoff,
            "min_distance": found.min_distance,
            "basis_scalars": len(found.moment_coeffs),
            "selection_state": bool(found.selection_state),
        }
        self.out("output_parameters", Dict(figures))
        return None if converged else self.exit_codes.WARNING_TRAINING_NOT_CONVERGED.format(message=reason)

    def kept(self, folder: Path) -> str:
        """Keep the potential of the last iteration, to go on from."""
        generation = MlipTraining.of(self.inputs.parameters.get_dict()).mlip.generation
        for name in (current_name(generation), trained_name(generation)):
            if name is None or not (folder / name).is_file():
                continue
            try:
                self._read(folder / name)
            except (ValueError, ValidationError):  # cut short while it was written: the other one may be whole
                continue
            return "; the potential of the last iteration is kept"
        return ""

    def _read(self, path: Path) -> tuple[Parts, MtpFile]:
        parts = parts_of(self.inputs)
        initial, species = initial_of(self.inputs, parts)
        found = read_trained(path, initial)
        node = PotentialData(BytesIO(path.read_bytes()), species=species, filename="potential.mtp")
        node._validate()  # a broken file is this job's failure, not an exception when the node is stored
        self.out("potential", node)
        return parts, found


class MlipSelectCalculation(MlipCalculation):
    """``mlp select-add``: which candidates enlarge the active set of the training set."""

    @classmethod
    def define(cls, spec: CalcJobProcessSpec) -> None:
        """Declare the ports."""
        super().define(spec)
        spec.input("potential", valid_type=PotentialData, help="Of MLIP-3 with its selection state.")
        spec.input("configurations", valid_type=ConfigurationsData, help="What the potential was trained on.")
        spec.input_namespace(
            "candidates", valid_type=ConfigurationsData, dynamic=True, help="Candidates of each run, by its name."
        )
        spec.inputs["metadata"]["options"]["parser_name"].default = "iontherm.mlip_select"
        spec.output(
            "configurations", valid_type=ConfigurationsData, required=False, help="Those it chose, if there are any."
        )

    def write_inputs(self, folder: Path) -> tuple[list[str], list[str], list[str]]:
        """Write the potential, the training set and the candidates."""
        settings = MlipSettings.of(self.inputs.parameters.get_dict())
        species = self.inputs.potential.species
        write_mtp_file(folder / initial_name(settings.generation), file_of(self.inputs.potential, settings.generation))
        parts = known_of(self.inputs)
        write_labelled(folder / TRAINING_SET, parts.to_fit(), species)
        frames = [atoms for _, _, atoms in usable_candidates(self.inputs.candidates)]
        write_unlabelled(folder / CANDIDATES, frames, species)
        return select_command(settings), [SELECTED + ALL_RANKS], [TRAINING_SET, CANDIDATES]


class MlipSelectParser(MlipParser):
    """The chosen candidates, found again among those that were sent."""

    def read(self, folder: Path, log: str) -> ExitCode | None:
        """Read the selection."""
        found = read_written(folder, SELECTED, self.inputs.potential.species)
        if found is None:
            raise FileNotFoundError(f"mlp wrote no {SELECTED}, but said: {_last_line(log)}")
        # Ports of a namespace are links whose names join theirs.
        prefix = "candidates__"
        links = {name.removeprefix(prefix): node for name, node in self._links() if name.startswith(prefix)}
        sent = usable_candidates(links)
        where = places(found, [atoms for _, _, atoms in sent])
        # It is known to name configurations of the training set as well: they are no news.
        known = [atoms for atoms, place in zip(found, where, strict=True) if place is None]
        foreign = sum(place is None for place in places(known, self.inputs.configurations.frames()))
        if foreign:
            raise OtherSet(f"{foreign} of {len(found)} configurations that mlp chose are none of those it was sent")
        chosen = [(place, grade_of(atoms)) for atoms, place in zip(found, where, strict=True) if place is not None]
        by_run: dict[str, list[int]] = {name: [] for name in sorted(links)}
        for place, _ in sorted(chosen):
            name, index, _ = sent[place]
            by_run[name].append(index)
        self.out(
            "output_parameters",
            Dict(
                {
                    "candidates": len(sent),
                    "selected": len(chosen),
                    "chosen": by_run,
                    "mv_grades": [grade for _, grade in chosen],
                }
            ),
        )
        if chosen:
            frames = [sent[place][2] for place, _ in sorted(chosen)]
            self.out("configurations", ConfigurationsData.from_frames(frames, filename="selected.extxyz"))
        return None

    def _links(self) -> list[tuple[str, Any]]:
        return [(link.link_label, link.node) for link in self.node.base.links.get_incoming().all()]


class MlipEfsCalculation(MlipCalculation):
    """``mlp calc-efs``: energies, forces and stresses of configurations by a potential."""

    @classmethod
    def define(cls, spec: CalcJobProcessSpec) -> None:
        """Declare the ports."""
        super().define(spec)
        spec.input("potential", valid_type=PotentialData)
        spec.input("configurations", valid_type=ConfigurationsData, help="Labels they may have are not looked at.")
        also_validate(spec, _validate_species)
        spec.inputs["metadata"]["options"]["parser_name"].default = "iontherm.mlip_efs"
        spec.output("configurations", valid_type=ConfigurationsData, help="The same with the labels of `mlp`.")

    def write_inputs(self, folder: Path) -> tuple[list[str], list[str], list[str]]:
        """Write the potential and the configurations without labels."""
        settings = MlipSettings.of(self.inputs.parameters.get_dict())
        name = set_to_evaluate(settings.generation)
        write_mtp_file(folder / initial_name(settings.generation), file_of(self.inputs.potential, settings.generation))
        write_unlabelled(folder / name, self.inputs.configurations.frames(), self.inputs.potential.species)
        return efs_command(settings), [EVALUATED + ALL_RANKS], [name]


class MlipEfsParser(MlipParser):
    """Configurations with the labels of ``mlp``."""

    def read(self, folder: Path, log: str) -> ExitCode | None:
        """Read the labels."""
        written = read_written(folder, EVALUATED, self.inputs.potential.species)
        if written is None:
            raise FileNotFoundError(f"mlp wrote no {EVALUATED}, but said: {_last_line(log)}")
        # Ranks may have written beside the set that was sent, which has no labels then.
        found = [atoms for atoms in written if atoms.calc is not None and "forces" in atoms.calc.results]
        sent = self.inputs.configurations.frames()
        where = places(found, sent)
        if None in where:
            raise OtherSet("mlp evaluated a configuration that it was not sent")
        if len(found) < len(sent):
            raise ValueError(f"mlp evaluated {len(found)} of {len(sent)} configurations")
        order = np.argsort(np.array(where))
        labelled = [_labelled(sent[index], found[place]) for index, place in enumerate(order)]
        self.out("configurations", ConfigurationsData.from_frames(labelled, filename="labelled.extxyz"))
        self.out("output_parameters", Dict({"configurations": len(labelled)}))
        return None


def _labelled(sent: Atoms, found: Atoms) -> Atoms:
    """Put labels on the very positions that were sent: MLIP prints fewer digits."""
    copy = Atoms(numbers=sent.numbers, positions=sent.positions, cell=sent.cell, pbc=sent.pbc)
    results = found.calc.results
    kept = {name: results[name] for name in ("energy", "forces", "stress") if name in results}
    copy.calc = SinglePointCalculator(copy, **kept)
    return copy


def _last_line(log: str) -> str:
    lines: Sequence[str] = log.strip().splitlines() or ["nothing"]
    return lines[-1].strip()[:200]


def _validate_species(value: Any, _port: Any = None) -> str | None:
    """Say which species the potential lacks."""
    if not {"potential", "configurations"} <= set(value):
        return None
    present = {symbol for atoms in value["configurations"].frames() for symbol in atoms.symbols.species()}
    missing = sorted(present - set(value["potential"].species))
    return f"the potential does not know {', '.join(missing)}" if missing else None
