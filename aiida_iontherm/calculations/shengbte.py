"""CalcJob of ShengBTE and FourPhonon, run as they are: linewidths of three and four phonons.

Their files are written and read in `tasks.shengbte_files`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from aiida.common.datastructures import CalcInfo, CodeInfo
from aiida.common.folders import Folder
from aiida.engine import CalcJob, CalcJobProcessSpec, ExitCode
from aiida.orm import Dict
from aiida.parsers import Parser

from aiida_iontherm.calculations.base import also_validate
from aiida_iontherm.data import ForceConstantsData, LinewidthsData
from aiida_iontherm.tasks.crystal import mesh_divisions, phonopy_of
from aiida_iontherm.tasks.shengbte_files import (
    MissingFile,
    NoFourPhonons,
    OtherCrystal,
    ShengBteSettings,
    cause,
    folder_name,
    harmonic_part,
    linewidth_arrays,
    misfit,
    read_conductivity,
    read_frequencies,
    read_heat_capacity,
    read_qpoints,
    read_rates,
    write_inputs,
)
from aiida_iontherm.tasks.shengbte_files.results import (
    CONVERGED,
    OF_ALL_TEMPERATURES,
    OF_EACH_TEMPERATURE,
    OMEGA,
    RTA,
)

STDOUT, STDERR = "shengbte.out", "shengbte.err"

OUT_OF_MEMORY, OUT_OF_WALLTIME = 110, 120
"""Exit codes of the schedulers that can tell (Slurm)."""


def validate_parameters(node: Dict | None, _port: Any = None) -> str | None:
    """Say what is wrong with the settings of a run."""
    try:
        ShengBteSettings.of({} if node is None else node.get_dict())
    except ValueError as error:
        return str(error)
    return None


def validate_inputs(value: Any, _port: Any = None) -> str | None:
    """Say which order the force constants lack."""
    if not {"parameters", "force_constants"} <= set(value):
        return None
    with value["force_constants"].opened() as arrays:
        return misfit(arrays, ShengBteSettings.of(value["parameters"].get_dict()))


class ShengBteCalculation(CalcJob):
    """Scattering rates and conductivity by ShengBTE or FourPhonon, for linewidths of three and four phonons (THz)."""

    @classmethod
    def define(cls, spec: CalcJobProcessSpec) -> None:
        """Declare ports and exit codes."""
        super().define(spec)
        spec.input(
            "parameters",
            valid_type=Dict,
            validator=validate_parameters,
            help="Temperatures (K), mesh and what ShengBTE is to do, under its own names.",
        )
        spec.input(
            "force_constants",
            valid_type=ForceConstantsData,
            help="Second and third order, and fourth for four phonons; Born charges are used where there are any.",
        )
        also_validate(spec, validate_inputs)
        options = spec.inputs["metadata"]["options"]
        options["resources"].default = lambda: {"num_machines": 1, "num_mpiprocs_per_machine": 1}
        options["withmpi"].default = True
        options["parser_name"].default = "iontherm.shengbte"
        spec.output(
            "output_parameters",
            valid_type=Dict,
            help="Conductivity tensors of the program in W/(m K), heat capacity, and what its linewidths are of.",
        )
        spec.output(
            "linewidths",
            valid_type=LinewidthsData,
            required=False,
            help="Half widths (THz) on the irreducible points of our mesh; none for onlyharmonic.",
        )
        spec.default_output_node = "output_parameters"
        spec.exit_code(
            300,
            "ERROR_NO_OUTPUT",
            invalidates_cache=True,
            message="The program left no output: the job was killed or did not start. Run it again.",
        )
        spec.exit_code(
            312,
            "ERROR_OUT_OF_MEMORY",
            invalidates_cache=True,
            message="The memory ran out ({message}): run fewer ranks on each machine, or a coarser mesh.",
        )
        spec.exit_code(
            313,
            "ERROR_OUT_OF_WALLTIME",
            invalidates_cache=True,
            message="The wall time ran out, and ShengBTE keeps no checkpoint: give more time or ranks, one temperature "
            "at a time, a coarser mesh, a smaller scalebroad, or sample the processes.",
        )
        spec.exit_code(330, "ERROR_CRASHED", invalidates_cache=True, message="The program stopped: {message}")
        spec.exit_code(340, "ERROR_OUTPUT_FILE", invalidates_cache=True, message="An output is unusable: {message}")
        spec.exit_code(
            341,
            "ERROR_OTHER_CRYSTAL",
            message="The results are not those of these force constants: {message}",
        )
        spec.exit_code(
            342,
            "ERROR_NO_FOUR_PHONONS",
            message="There are no rates of four phonons ({message}): the code must be FourPhonon, not ShengBTE alone.",
        )
        spec.exit_code(
            710,
            "WARNING_NOT_CONVERGED",
            message="The iterative solution did not converge in {iterations} iterations at {temperatures} K: raise "
            "maxiter. Linewidths and conductivities in the relaxation-time approximation are valid.",
        )

    def prepare_for_submission(self, folder: Folder) -> CalcInfo:
        """Write CONTROL and the force constants."""
        settings = ShengBteSettings.of(self.inputs.parameters.get_dict())
        large = write_inputs(Path(folder.abspath), self.inputs.force_constants.arrays(), settings)
        code = CodeInfo()
        code.code_uuid = self.inputs.code.uuid
        code.stdout_name, code.stderr_name = STDOUT, STDERR
        info = CalcInfo()
        info.codes_info = [code]
        # They follow from an input node, and are many times its size as text.
        info.provenance_exclude_list = large
        info.retrieve_list = [STDOUT, STDERR, *OF_ALL_TEMPERATURES]
        # Two levels of the path are kept. The rest of the files stays where the job ran (additional_retrieve_list).
        info.retrieve_list += [
            (f"{folder_name(temperature)}/{name}", ".", 2)
            for temperature in settings.temperatures
            for name in OF_EACH_TEMPERATURE
        ]
        return info


class ShengBteParser(Parser):
    """Conductivities, and linewidths on the modes of our phonons."""

    def parse(self, **kwargs: Any) -> ExitCode | None:
        """Read what the program wrote."""
        exit_codes = self.exit_codes
        settings = ShengBteSettings.of(self.node.inputs.parameters.get_dict())
        with self.retrieved.base.repository.as_path() as folder:
            try:
                figures, table = self._read(folder, settings)
            except NoFourPhonons as error:
                return exit_codes.ERROR_NO_FOUR_PHONONS.format(message=str(error))
            except OtherCrystal as error:
                return exit_codes.ERROR_OTHER_CRYSTAL.format(message=str(error))
            except (OSError, ValueError) as error:
                return self._ended_early(folder, settings, error)
        self.out("output_parameters", Dict(figures))
        if table is not None:
            self.out("linewidths", LinewidthsData.from_arrays(table, filename="linewidths.npz"))
        if settings.convergence and not settings.onlyharmonic:
            late = [
                temperature
                for temperature, count in zip(figures["temperatures_k"], figures["iterations"], strict=True)
                if count >= settings.maxiter
            ]
            if late:
                kelvin = ", ".join(f"{temperature:g}" for temperature in late)
                return exit_codes.WARNING_NOT_CONVERGED.format(iterations=settings.maxiter, temperatures=kelvin)
        return None

    def _read(self, folder: Path, settings: ShengBteSettings) -> tuple[dict[str, Any], dict[str, np.ndarray] | None]:
        """Figures, and the arrays of linewidths where there are any."""
        kelvin = sorted(settings.temperatures)
        qpoints, _ = read_qpoints(folder)
        frequencies = read_frequencies(folder, len(qpoints)) / (2 * np.pi)
        figures: dict[str, Any] = {
            "temperatures_k": kelvin,
            "irreducible_points": len(qpoints),
            "bands": frequencies.shape[1],
            "max_frequency_thz": float(frequencies.max()),
            "heat_capacity_j_per_m3_k": _at(kelvin, *read_heat_capacity(folder)),
        }
        if settings.onlyharmonic:
            return figures, None
        rates = read_rates(folder, kelvin, four_phonons=settings.four_phonon)
        with self.node.inputs.force_constants.opened() as arrays:
            phonopy = phonopy_of(harmonic_part(arrays))
        mesh = mesh_divisions(phonopy, settings.mesh)
        table = linewidth_arrays(rates, phonopy, mesh, settings.frequency_tolerance_thz)
        figures["mesh"] = list(mesh)
        figures["linewidths"] = settings.words()
        mean = np.average(table["gamma_thz"], axis=1, weights=table["weights"]).mean(axis=1)
        figures["mean_gamma_thz"] = mean.tolist()
        if settings.four_phonon:
            four = np.average(table["gamma_4ph_thz"], axis=1, weights=table["weights"]).mean(axis=1)
            figures["four_phonon_share"] = (four / mean).tolist()
        difference = np.abs(table["frequencies_of_the_run_thz"] - table["frequencies_thz"]).max()
        figures["max_frequency_difference_thz"] = float(difference)
        rta = read_conductivity(folder, RTA)
        figures["kappa_rta_w_per_m_k"] = _at(kelvin, rta.temperatures, rta.tensors)
        if settings.convergence:
            converged = read_conductivity(folder, CONVERGED)
            figures["kappa_converged_w_per_m_k"] = _at(kelvin, converged.temperatures, converged.tensors)
            figures["iterations"] = _at(kelvin, converged.temperatures, converged.iterations)
        return figures, table

    def _ended_early(self, folder: Path, settings: ShengBteSettings, error: Exception) -> ExitCode:
        """Exit code for a run that has not written all it should."""
        exit_codes = self.exit_codes
        texts = [path.read_text(encoding="utf-8", errors="replace") for path in _texts(folder)]
        texts += [self.node.get_scheduler_stderr() or "", self.node.get_scheduler_stdout() or ""]
        found, line = cause("\n".join(texts), settings.four_phonon)
        if self.node.exit_status == OUT_OF_MEMORY or found == "memory":
            return exit_codes.ERROR_OUT_OF_MEMORY.format(message=line or "the scheduler says")
        if self.node.exit_status == OUT_OF_WALLTIME or found == "wall time":
            return exit_codes.ERROR_OUT_OF_WALLTIME
        if found == "four phonons":
            return exit_codes.ERROR_NO_FOUR_PHONONS.format(message=line)
        if found == "error":
            return exit_codes.ERROR_CRASHED.format(message=line)
        if isinstance(error, MissingFile) and not (folder / OMEGA).is_file():
            return exit_codes.ERROR_NO_OUTPUT
        return exit_codes.ERROR_OUTPUT_FILE.format(message=str(error))


def _texts(folder: Path) -> list[Path]:
    return [folder / name for name in (STDOUT, STDERR) if (folder / name).is_file()]


def _at(kelvin: list[float], known: np.ndarray, values: np.ndarray) -> list[Any]:
    """Values at these temperatures as plain numbers."""
    # Printed with one decimal.
    places = [np.flatnonzero(np.abs(known - temperature) < 0.06) for temperature in kelvin]
    absent = [temperature for temperature, place in zip(kelvin, places, strict=True) if len(place) == 0]
    if absent:
        raise MissingFile(f"the conductivity at {absent[0]:g} K is not there: the run ended before it had come so far")
    return [values[place[-1]].tolist() for place in places]
