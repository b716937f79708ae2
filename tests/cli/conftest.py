"""Call commands in this process, or in one of their own with an AiiDA of its own."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

ENVIRONMENT = os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}


@pytest.fixture
def call() -> Callable[..., Result]:
    """Call `iontherm` with these arguments."""
    from aiida_iontherm.cli import main

    return lambda *arguments: CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture
def refuse(call: Callable[..., Result], task_code: Any) -> Callable[..., str]:
    """Call `iontherm` and see it refuse: one line, exit code 1, nothing submitted. Returns the line."""
    from aiida.orm import ProcessNode, QueryBuilder

    def check(*arguments: Any) -> str:
        before = QueryBuilder().append(ProcessNode).count()
        result = call(*arguments)
        assert result.exit_code == 1, result.output
        assert isinstance(result.exception, SystemExit), result.exception
        lines = result.stderr.strip().splitlines()
        assert len(lines) == 1, result.stderr
        assert lines[0].startswith("Error: ")
        assert QueryBuilder().append(ProcessNode).count() == before
        return lines[0]

    return check


def _heed_interrupts() -> None:
    """Undo what a shell does to jobs in the background: they are started with interrupts ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Shell:
    """The installed commands with an AiiDA configuration of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = ENVIRONMENT | {"AIIDA_PATH": str(folder), "COLUMNS": "160"}

    def start(self, *arguments: Any, **options: Any) -> subprocess.Popen:
        command, *rest = (str(argument) for argument in arguments)
        return subprocess.Popen(
            [str(Path(sys.executable).with_name(command)), *rest],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=_heed_interrupts,
            **options,
        )

    def run(self, *arguments: Any) -> tuple[int, str, str]:
        """Exit code, standard output and standard error."""
        process = self.start(*arguments)
        output, errors = process.communicate(timeout=300)
        return process.returncode, output, errors

    def python(self, code: str) -> str:
        """Standard output of a Python program."""
        status, output, errors = self.run("python", "-c", code)
        assert status == 0, errors
        return output

    @property
    def config(self) -> str:
        return (self.folder / ".aiida" / "config.json").read_text()


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """Commands without any AiiDA profile."""
    return Shell(tmp_path)
