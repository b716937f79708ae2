"""What ``mlp`` prints: iterations, why a training ended, errors.

MLIP prints ``BFGS iter N: f=LOSS`` for each iteration, ``BFGS ended`` where the loss has settled and ``step limit
reached`` where the iterations were exhausted, both also for the short training before the training proper; errors begin
with ``ERROR``. PRAPs (arXiv:2512.12433) and maml read the same words. Where none of them is there, the number of
iterations decides.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

_ITERATION = re.compile(r"BFGS iter\s*(\d+)[^\n]*?f\s*=\s*([-+0-9.eE]+)")
_ENDS = re.compile(r"BFGS ended|step limit reached", re.IGNORECASE)
_ERROR = re.compile(r"^.*\bERROR\b.*$", re.MULTILINE)
_MEMORY = re.compile(r"bad_alloc|out of memory|oom-kill|cannot allocate memory", re.IGNORECASE)
_WALL_TIME = re.compile(r"due to time limit|walltime .*exceeded|exceeded .*walltime", re.IGNORECASE)


@dataclass(frozen=True)
class TrainingLog:
    """What the log of a training says.

    Attributes
    ----------
    iterations : int
        Of the training proper.
    loss : float or None
        The last one.
    settled : bool or None
        Whether the loss had settled; None if the log does not say.
    error : str or None
        First line with an error.
    """

    iterations: int
    loss: float | None
    settled: bool | None
    error: str | None

    def outcome(self, limit: int) -> tuple[bool, str]:
        """Say whether the training converged within a limit of iterations, and why it ended."""
        if self.error is not None:
            return False, f"mlp ended with an error after {self.iterations} iterations: {self.error}"
        if self.settled is False or self.iterations >= limit:
            return False, f"the limit of {limit} iterations was reached"
        if self.settled:
            return True, f"BFGS ended after {self.iterations} iterations"
        if self.iterations:
            return True, f"mlp ended by itself after {self.iterations} of {limit} iterations"
        return False, "the log of mlp tells of no iteration"


def read_training_log(text: str) -> TrainingLog:
    """Read the log of ``mlp train``."""
    iterations, loss, before = 0, None, -1
    for match in _ITERATION.finditer(text):
        number = int(match[1])
        # A number that does not grow begins the next stage; ranks that repeat a line do not.
        if number < before:
            iterations = 0
        before = number
        iterations = max(iterations, number)
        try:
            value = float(match[2])
        except ValueError:
            continue
        loss = value if math.isfinite(value) else loss
    ends = _ENDS.findall(text)
    settled = None if not ends else ends[-1].lower() == "bfgs ended"
    return TrainingLog(iterations=iterations, loss=loss, settled=settled, error=error_line(text))


def error_line(text: str) -> str | None:
    """Return the first line that tells of an error."""
    match = _ERROR.search(text)
    return match[0].strip()[:300] if match else None


def ran_out(text: str) -> str | None:
    """Say what ran out by the words of the program or the scheduler: memory, wall time, or nothing."""
    if _MEMORY.search(text):
        return "memory"
    return "wall time" if _WALL_TIME.search(text) else None
