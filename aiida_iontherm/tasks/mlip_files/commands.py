"""Command lines of ``mlp``, of MLIP-2 and MLIP-3.

No source of either program was looked into. Where the options are known from:

- MLIP-2: I. S. Novikov et al., Mach. Learn.: Sci. Technol. 2, 025002 (2021), its manual and its tutorials
  (gitlab.com/ashapeev/mlip-2-tutorials, wiki): ``train`` with ``--trained-pot-name``, ``--curr-pot-name``,
  ``--max-iter``, ``--bfgs-conv-tol`` and the three weights; ``select-add POTENTIAL TRAINING CANDIDATES OUT``;
  ``calc-efs POTENTIAL IN OUT``. maml, PRAPs (arXiv:2512.12433) and pyiron call them so.
- MLIP-3: E. Podryabinkin et al., J. Chem. Phys. 159, 084112 (2023), and programs that call it: ``train`` with
  ``--save_to``, ``--iteration_limit``, ``--tolerance``, ``--al_mode`` and the weights with an underscore;
  ``select_add`` with the arguments of MLIP-2; ``calculate_efs POTENTIAL SET``, which abICS takes to write into the set
  itself, while others name an output. Its options are less sure than those of MLIP-2: all can be set (`MlipOptions`).
"""

from __future__ import annotations

from collections.abc import Mapping

from aiida_iontherm.tasks.mlip_settings import MlipSettings, MlipTraining, Value

TRAINING_SET, CANDIDATES, SELECTED, EVALUATED = "train.cfg", "candidates.cfg", "selected.cfg", "efs.cfg"
TO_EVALUATE = "configurations.cfg"

_SUFFIX = {2: ".mtp", 3: ".almtp"}


def initial_name(generation: int) -> str:
    """Name of the potential a training starts from, or of the one that is used."""
    return "potential" + _SUFFIX[generation]


def trained_name(generation: int) -> str:
    """Name of the trained potential."""
    return "trained" + _SUFFIX[generation]


def current_name(generation: int) -> str | None:
    """Name of the potential that is kept while a training goes on; of MLIP-3 it is not known to keep one."""
    return "current.mtp" if generation == 2 else None


def set_to_evaluate(generation: int) -> str:
    """Name of the set to evaluate; MLIP-3 writes its results into it."""
    return TO_EVALUATE if generation == 2 else EVALUATED


def train_command(training: MlipTraining) -> list[str]:
    """Arguments of a training."""
    mlip = training.mlip
    energy, forces, stress = training.weights
    if mlip.generation == 2:
        options: dict[str, Value] = {
            "trained-pot-name": trained_name(2),
            "curr-pot-name": current_name(2),
            "max-iter": mlip.max_iterations,
            "bfgs-conv-tol": mlip.tolerance,
            "energy-weight": energy,
            "force-weight": forces,
            "stress-weight": stress,
        }
    else:
        options = {
            "save_to": trained_name(3),
            "iteration_limit": mlip.max_iterations,
            "tolerance": mlip.tolerance,
            "energy_weight": energy,
            "force_weight": forces,
            "stress_weight": stress,
            # Neighbourhoods, as our own active sets: without it there is no selection state to select with.
            "al_mode": "nbh",
        }
    return ["train", initial_name(mlip.generation), TRAINING_SET, *_options(options | mlip.options.train)]


def select_command(mlip: MlipSettings) -> list[str]:
    """Arguments of a selection."""
    command = "select-add" if mlip.generation == 2 else "select_add"
    files = [initial_name(mlip.generation), TRAINING_SET, CANDIDATES, SELECTED]
    return [command, *files, *_options(mlip.options.select)]


def efs_command(mlip: MlipSettings) -> list[str]:
    """Arguments of an evaluation of energies, forces and stresses."""
    if mlip.generation == 2:
        files = ["calc-efs", initial_name(2), set_to_evaluate(2), EVALUATED]
    else:
        files = ["calculate_efs", initial_name(3), set_to_evaluate(3)]
    return [*files, *_options(mlip.options.efs)]


def _options(options: Mapping[str, Value]) -> list[str]:
    texts = []
    for name, value in options.items():
        if value is None or value is False:
            continue
        texts.append(f"--{name}" if value is True else f"--{name}={value}")
    return texts
