"""Monitors that AiiDA asks, while a job runs, whether it should go on."""

from __future__ import annotations

import time
from typing import Any

from aiida.orm import CalcJobNode
from aiida.transports import Transport

PROGRESS_FILE = "progress.jsonl"
SEEN = "iontherm_progress"
"""Extra of a job: the size of its progress file when it last grew, and when that was."""


def stalled(
    node: CalcJobNode, transport: Transport, minutes: float = 60.0, filename: str = PROGRESS_FILE
) -> str | None:
    """Say so if a running job has written nothing about its progress for too long: its node or its disk hangs.

    The clock is this machine's, from one look to the next, so that it does not matter what that of the cluster says.

    Parameters
    ----------
    minutes : float
        How long a step of work may take.
    filename : str
        File that grows with each step.
    """
    size = _size(transport, f"{node.get_remote_workdir()}/{filename}")
    if size is None:
        return None  # it has not begun, or the file cannot be seen: the scheduler's word counts
    seen: Any = node.base.extras.get(SEEN, None)
    now = time.time()
    if seen is None or seen[0] != size:
        node.base.extras.set(SEEN, [size, now])
        return None
    if now - seen[1] > 60 * minutes:
        return f"nothing new in {filename} for {(now - seen[1]) / 60:.0f} minutes: the job hangs"
    return None


def _size(transport: Transport, path: str) -> int | None:
    try:
        return int(transport.get_attribute(path).st_size)
    except (OSError, AttributeError, TypeError):
        return None
