"""The calcfunctions of active learning: compare generations of a potential, record rounds, conclude."""

from __future__ import annotations

from typing import Any

from aiida.engine import calcfunction
from aiida.orm import Dict, StructureData

from aiida_iontherm.data import PotentialData
from aiida_iontherm.physics.lattice.harmonic_change import harmonic_change

_RUN_KEYS = ("max_grade", "mean_grade", "candidates", "broke_at_ps", "break_reason")
_TRAINING_KEYS = ("configurations", "iterations", "converged", "reason", "train", "validation")


@calcfunction
def compare_generations(before: PotentialData, after: PotentialData, structure: StructureData, settings: Dict) -> Dict:
    """Relative change of the harmonic force constants and frequencies from one generation to the next."""
    change = harmonic_change(
        structure.get_ase(),
        settings["supercell"],
        before.potential().calculator(),
        after.potential().calculator(),
    )
    return Dict(
        {
            "force_constant_change": change.force_constants,
            "frequency_change": change.frequencies,
            "frequency_change_thz": change.rms_change_thz,
        }
    )


@calcfunction
def record_round(
    settings: Dict,
    selection: Dict | None = None,
    test: Dict | None = None,
    selected_test: Dict | None = None,
    training: Dict | None = None,
    change: Dict | None = None,
    **runs: Dict,
) -> Dict:
    """Put down what one round found and which criteria it meets.

    `settings` hold the number of the round, the length of its runs, their temperatures and volumes, and the
    tolerances; `runs` are the figures of the runs that finished, by their names; `training` and `change` are there if
    the potential was trained again.
    """
    explored = [
        {**where, "ps": runs[name]["production_ps"], **{key: runs[name][key] for key in _RUN_KEYS}}
        for name, where in sorted(settings["runs"].items())
        if name in runs
    ]
    lost = len(settings["runs"]) - len(explored)
    held = not lost and all(run["broke_at_ps"] is None for run in explored)
    selected = 0 if selection is None else selection["selected"]
    fc_change = None if change is None else change["force_constant_change"]
    error = None if test is None else _relative(test)
    # A grade that is not finite is not recorded as a number; the run broke on it.
    top = [run["max_grade"] for run in explored if run["max_grade"] is not None]
    return Dict(
        {
            "round": settings["round"],
            "length_ps": settings["length_ps"],
            "runs": explored,
            "failed_runs": lost,
            "max_grade": max(top, default=None),
            "candidates": sum(run["candidates"] for run in explored),
            "selected": selected,
            "max_grade_after_selection": None if selection is None else selection["max_grade_after"],
            "test_error": error,
            "test": None if test is None else test.get_dict(),
            "selected_error": None if selected_test is None else _relative(selected_test),
            "training": None if training is None else {key: training.get(key) for key in _TRAINING_KEYS},
            **{
                key: None if change is None else change[key]
                for key in ("force_constant_change", "frequency_change", "frequency_change_thz")
            },
            "criteria": {
                "nothing_selected": held and selected == 0,
                "force_constants_settled": held
                and fc_change is not None
                and fc_change <= settings["force_constant_tolerance"],
                "forces_accurate": error is not None and error <= settings["force_error_target"],
            },
        }
    )


@calcfunction
def collect_rounds(verdict: Dict, **rounds: Dict) -> Dict:
    """Join the records of all rounds with the reason for which there was no further one."""
    return Dict({**verdict.get_dict(), "rounds": [rounds[name].get_dict() for name in sorted(rounds)]})


def _relative(test: Any) -> float:
    return test["force_rmse_ev_per_angstrom"] / test["force_rms_ev_per_angstrom"]
