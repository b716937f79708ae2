"""A profile whose jobs go through a real Slurm; .ci/slurm starts one on any Debian machine."""

import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import slurm_profile

SCRIPTS = Path(__file__).parents[2] / ".ci"


class Slurm:
    """The profile, by the functions of `slurm_profile`, and the scheduler itself."""

    def __init__(self, executor: ProcessPoolExecutor) -> None:
        self._executor = executor

    def __call__(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return self._executor.submit(function, *arguments).result(timeout=120)

    def wait(self, pk: int, until: Callable[[dict[str, Any]], bool], seconds: float = 90) -> dict[str, Any]:
        """State of a process as soon as it is as wanted; where that does not come, the last one seen."""
        deadline = time.monotonic() + seconds
        state = self(slurm_profile.state, pk)
        while not until(state) and time.monotonic() < deadline:
            time.sleep(0.3)
            state = self(slurm_profile.state, pk)
        return state

    def end(self, pk: int, seconds: float = 90) -> dict[str, Any]:
        state = self.wait(pk, lambda state: state["terminated"], seconds)
        assert state["terminated"], state
        return state

    def running_job(self, pk: int) -> str:
        """Number of the job that a chain has in the queue, as soon as it runs."""

        def runs(state: dict[str, Any]) -> bool:
            number = state["jobs"][-1]["number"] if state["jobs"] else None
            return number is not None and self.queue("--states=RUNNING", f"--jobs={number}") != ""

        return self.wait(pk, runs)["jobs"][-1]["number"]

    @staticmethod
    def command(*arguments: str, check: bool = True) -> subprocess.CompletedProcess:
        """Run one of Slurm's own commands."""
        return subprocess.run(arguments, capture_output=True, text=True, check=check)

    def queue(self, *arguments: str) -> str:
        # Of a job that is gone for long squeue says that its number is not valid.
        return self.command("squeue", "--noheader", *arguments, check=False).stdout

    @staticmethod
    def restart() -> None:
        subprocess.run([SCRIPTS / "slurm", "restart"], check=True, timeout=60)


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slurm]:
    if not os.environ.get("IONTHERM_TEST_SLURM"):
        pytest.skip("no Slurm for tests: .ci/services starts one and says where it is")
    folder = tmp_path_factory.mktemp("slurm")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIIDA_PATH", str(folder))
        patch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as executor:
            slurm = Slurm(executor)
            slurm(slurm_profile.make_profile, str(folder))
            try:
                yield slurm
            finally:
                slurm(slurm_profile.stop_daemon)
