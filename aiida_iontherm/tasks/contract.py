"""The contract that every task keeps.

A task reads ``input.json`` (unknown keys are errors) and the files it names. It writes ``progress.jsonl`` while it
runs (one line per step of work), ``checkpoint.npz`` where it can go on from, its results, and last ``output.json``,
always, whatever happened. SIGTERM or the time limit make it write its checkpoint and leave with exit code 3; started
again in the same folder it goes on and gives what an uninterrupted run gives.
"""

from __future__ import annotations

import errno
import hashlib
import importlib
import json
import math
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from aiida_iontherm import __version__
from aiida_iontherm.tasks.files import read_npz, write_json, write_npz

EXIT_OK = 0
EXIT_CRASH = 1
EXIT_INPUT = 2
EXIT_INTERRUPTED = 3
EXIT_DISK = 4
EXIT_PHYSICS = 5

STATUS = {
    EXIT_OK: "finished",
    EXIT_CRASH: "crashed",
    EXIT_INPUT: "bad input",
    EXIT_INTERRUPTED: "interrupted",
    EXIT_DISK: "disk full",
    EXIT_PHYSICS: "physics failed",
}

CHECKPOINT_SECONDS = 20.0
"""A task offers its state after every step; it is written when the last one on disk is older than this."""


class TaskInput(BaseModel):
    """What every ``input.json`` may hold."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_seconds: float | None = Field(None, gt=0, description="Leave with a checkpoint before this wall time, in s.")


class InputError(ValueError):
    """The input cannot be right; nothing was computed."""


class PhysicsError(RuntimeError):
    """The run is sound but its result is not: an unstable potential, a fit without data."""


class UnstableError(PhysicsError):
    """The dynamics flew apart; a shorter timestep may help."""


class Interrupted(Exception):
    """The task was asked to stop and has written its checkpoint."""


class Task:
    """One run of a task: where it is told to stop and where it reports.

    Attributes
    ----------
    folder : Path
        Working directory.
    """

    def __init__(self, folder: Path, name: str, input_text: str) -> None:
        self.folder = folder
        self.name = name
        self._input_digest = _digest(input_text)
        self._started = time.monotonic()
        self._deadline: float | None = None
        self._signalled = False
        self._last_checkpoint = self._started
        self._longest_step = 0.0
        self._last_step = self._started

    def listen(self) -> None:
        """Turn SIGTERM and SIGINT into a request to stop at the end of the current step."""

        def note(_signum: int, _frame: FrameType | None) -> None:
            self._signalled = True

        signal.signal(signal.SIGTERM, note)
        signal.signal(signal.SIGINT, note)

    def limit(self, max_seconds: float | None) -> None:
        """Set the wall time after which no further step is begun, counted from the start of the run."""
        self._deadline = None if max_seconds is None else self._started + max_seconds

    def progress(self, what: str, done: int, total: int, **figures: float) -> None:
        """Append one line to ``progress.jsonl``."""
        line = {"what": what, "done": done, "total": total, "seconds": round(self.seconds, 2)}
        # NaN is not JSON: a figure that is no number is left out.
        line["figures"] = {name: float(f"{value:.6g}") for name, value in figures.items() if math.isfinite(value)}
        with (self.folder / "progress.jsonl").open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(line) + "\n")

    @property
    def seconds(self) -> float:
        """Wall time of this run."""
        return time.monotonic() - self._started

    def step(self, state: Callable[[], tuple[dict[str, Any], dict[str, np.ndarray]]]) -> None:
        """Mark the end of a step of work; `state` gives plain data and arrays to continue from.

        Raises
        ------
        Interrupted
            After writing the checkpoint, if a stop was requested or the time would not suffice for another step.
        """
        now = time.monotonic()
        self._longest_step = max(self._longest_step, now - self._last_step)
        self._last_step = now
        out_of_time = self._deadline is not None and now + 1.5 * self._longest_step > self._deadline
        stop = self._signalled or out_of_time
        if stop or now - self._last_checkpoint > CHECKPOINT_SECONDS:
            self.save(*state())
            self._last_checkpoint = now
        if stop:
            raise Interrupted("the time limit is near" if out_of_time else "asked to stop")

    def save(self, meta: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        """Write the checkpoint, plain data and arrays, at once."""
        meta = {"task": self.name, "input": self._input_digest, "state": meta}
        text = np.frombuffer(json.dumps(meta).encode(), dtype=np.uint8)
        write_npz(self.folder / "checkpoint.npz", {"__meta__": text, **arrays})

    def checkpoint(self) -> tuple[dict[str, Any], dict[str, np.ndarray]] | None:
        """Return the state written by an earlier run with the same input, if there is one.

        Raises
        ------
        InputError
            If the file is damaged or was written by another task or for another input.
        """
        path = self.folder / "checkpoint.npz"
        if not path.is_file():
            return None
        try:
            arrays = read_npz(path)
            meta = json.loads(arrays.pop("__meta__").tobytes())
        except (ValueError, KeyError) as error:
            raise InputError(f"{error}: remove checkpoint.npz to start afresh") from error
        if meta["task"] != self.name or meta["input"] != self._input_digest:
            raise InputError("checkpoint.npz belongs to another input: remove it to start afresh")
        return meta["state"], arrays


def run_task(name: str, module_name: str, folder: Path | None = None) -> int:
    """Run a task in `folder` (default: the current directory) and return its exit code."""
    folder = folder or Path.cwd()
    started = time.monotonic()
    output: dict[str, Any] = {"task": name, "version": __version__}
    try:
        (folder / "output.json").unlink(missing_ok=True)  # what an earlier run said must not pass for this one's word
        output["results"] = _run(name, module_name, folder)
        code = EXIT_OK
    except Interrupted as error:
        code, output["message"] = EXIT_INTERRUPTED, f"{error}; the checkpoint is written, run the task again to go on"
    except InputError as error:
        code, output["message"] = EXIT_INPUT, str(error)
    except PhysicsError as error:
        code, output["message"] = EXIT_PHYSICS, str(error)
        output["unstable"] = isinstance(error, UnstableError)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            code, output["message"] = EXIT_CRASH, _crash(error)
        else:
            code = EXIT_DISK
            output["message"] = f"no space left on the disk of {folder.name}: free some and run the task again"
    except Exception as error:  # the contract: output.json tells what happened, whatever it was
        code, output["message"] = EXIT_CRASH, _crash(error)
    output["status"] = STATUS[code]
    output["exit_code"] = code
    output["seconds"] = round(time.monotonic() - started, 3)
    output["peak_memory_mb"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)
    if code != EXIT_OK:
        print(f"iontherm-task {name}: {output['message']}", file=sys.stderr)  # noqa: T201 - the command's own output
    try:
        try:
            write_json(folder / "output.json", output)
        except (TypeError, ValueError) as error:  # a result that JSON cannot hold, e.g. NaN
            code = EXIT_CRASH
            output |= {"results": None, "status": STATUS[code], "exit_code": code}
            output["message"] = f"a result is not a finite number: {error}"
            write_json(folder / "output.json", output)
    except OSError as error:
        print(f"iontherm-task {name}: output.json cannot be written: {error}", file=sys.stderr)  # noqa: T201
        return EXIT_DISK if error.errno in (errno.ENOSPC, errno.EDQUOT) else EXIT_CRASH
    return code


def _digest(input_text: str) -> str:
    """Fingerprint of an input without its time limit: a run may go on with more time than it was first given."""
    try:
        settings = json.loads(input_text)
    except json.JSONDecodeError:
        settings = None  # its validation says what is wrong
    if isinstance(settings, dict):
        settings.pop("max_seconds", None)
        input_text = json.dumps(settings, sort_keys=True)
    return hashlib.sha256(input_text.encode()).hexdigest()


def _crash(error: Exception) -> str:
    traceback.print_exc()
    return f"{type(error).__name__}: {error}"


def _run(name: str, module_name: str, folder: Path) -> dict[str, Any]:
    path = folder / "input.json"
    if not path.is_file():
        raise InputError(f"there is no input.json in {folder}")
    text = path.read_text(encoding="utf-8")
    task = Task(folder, name, text)
    task.listen()
    module = importlib.import_module(module_name)
    try:
        task_input: TaskInput = module.Input.model_validate_json(text)
    except ValidationError as error:
        raise InputError("input.json: " + explain(error, module.Input)) from error
    task.limit(task_input.max_seconds)
    return module.run(task, task_input)


def explain(error: ValidationError, model: type[BaseModel]) -> str:
    """Turn pydantic's report into one line that names the nearest right key."""
    from aiida_iontherm.tasks.spelling import nearest_key

    parts = []
    for problem in error.errors(include_url=False):
        where = ".".join(str(item) for item in problem["loc"])
        if problem["type"] == "extra_forbidden":
            parts.append(f"unknown key {where}{nearest_key(problem['loc'], model)}")
        elif not where:
            parts.append(problem["msg"].removeprefix("Value error, "))
        else:
            parts.append(f"{where}: {problem['msg']} (got {problem['input']!r})")
    return "; ".join(parts)
