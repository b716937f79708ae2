"""The program: read the folder, compute or replay, write the folder."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiida_iontherm.engines.embedded import EngineError, check_elements, make_calculator
from aiida_iontherm.engines.mock_vasp import store
from aiida_iontherm.engines.mock_vasp.calculation import calculate
from aiida_iontherm.engines.mock_vasp.errors import VaspStop
from aiida_iontherm.engines.mock_vasp.failures import Failure, planned_failure
from aiida_iontherm.engines.mock_vasp.inputs import read_inputs
from aiida_iontherm.engines.mock_vasp.outputs import Outputs, failed, finished, refused

if TYPE_CHECKING:
    from collections.abc import Mapping

ENGINE = "IONTHERM_MOCK_VASP_ENGINE"
OPTIONS = "IONTHERM_MOCK_VASP_OPTIONS"
STORE = "IONTHERM_MOCK_VASP_STORE"


def run(folder: Path | str, environment: Mapping[str, str] | None = None) -> int:
    """Do in `folder` what ``vasp_std`` would do there.

    Parameters
    ----------
    folder : Path or str
        Holds INCAR, POSCAR, POTCAR, and KPOINTS unless INCAR has KSPACING.
    environment : mapping
        The variables named in the description of the package; those of the process by default.

    Returns
    -------
    int
        Exit code: 0, not 0 if the input is bad, or as the failure asked for has it.
    """
    folder = Path(folder)
    environment = os.environ if environment is None else environment
    engine = environment.get(ENGINE, "none")
    try:
        outputs = _outputs(folder, environment, engine)
    except (VaspStop, EngineError) as error:
        outputs = refused(str(error), engine)
    outputs.write(folder)
    sys.stdout.write(outputs.stdout)
    sys.stderr.write(outputs.stderr)
    return outputs.exit_code


def _outputs(folder: Path, environment: Mapping[str, str], engine: str) -> Outputs:
    inputs = read_inputs(folder)
    if ENGINE not in environment:
        raise VaspStop(f"ERROR: {ENGINE} is not set: name an embedded engine in it, such as emt or chgnet.")
    options = _options(environment)
    failure = planned_failure(environment)
    check_elements(engine, set(inputs.atoms.get_chemical_symbols()))
    name = store.key(inputs, engine, options)
    kept = Path(environment[STORE]) if environment.get(STORE) and failure is None else None
    if kept is not None and (outputs := store.replay(kept, name)) is not None:
        return outputs
    plan = failure or Failure()
    result = replace(calculate(inputs, make_calculator(engine, options), plan.stuck, plan.creep), engine=engine)
    if failure is not None:
        return failed(result, failure)
    outputs = finished(result)
    if kept is not None:
        store.keep(kept, name, outputs)
    return outputs


def _options(environment: Mapping[str, str]) -> dict[str, Any]:
    try:
        options = json.loads(environment.get(OPTIONS) or "{}")
    except ValueError as error:
        raise VaspStop(f"ERROR: {OPTIONS} is no JSON: {error}") from error
    if not isinstance(options, dict):
        raise VaspStop(f'ERROR: {OPTIONS} must be a JSON object such as {{"epsilon": 0.01}}.')
    return options
