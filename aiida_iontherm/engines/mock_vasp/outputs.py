"""Put the parts of the files together, whole or as a broken run leaves them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from aiida_iontherm.engines.mock_vasp import console, oszicar, outcar, structures, vasprun

if TYPE_CHECKING:
    from pathlib import Path

    from aiida_iontherm.engines.mock_vasp.failures import Failure
    from aiida_iontherm.engines.mock_vasp.results import Run


class Writer(Protocol):
    """A file in the order in which VASP writes it."""

    def head(self, run: Run) -> str:
        """Return what comes before the first ionic step."""

    def electronic(self, run: Run, index: int) -> str:
        """Return the electronic steps of an ionic step."""

    def ionic(self, run: Run, index: int) -> str:
        """Return what follows them."""

    def tail(self, run: Run) -> str:
        """Return what comes after the last ionic step."""


WRITERS: dict[str, Writer] = {"vasprun.xml": vasprun, "OUTCAR": outcar, "OSZICAR": oszicar, "XDATCAR": structures}
FILES = (*WRITERS, "CONTCAR")


@dataclass(frozen=True)
class Outputs:
    """Files by name, the two streams, and the exit code of a run."""

    files: dict[str, str]
    stdout: str
    stderr: str = ""
    exit_code: int = 0

    def write(self, folder: Path) -> None:
        """Write the files into a folder."""
        for name, text in self.files.items():
            (folder / name).write_text(text, encoding="utf8")


def finished(run: Run) -> Outputs:
    """Return the outputs of a run that came to its end."""
    files = {name: _whole(writer, run) for name, writer in WRITERS.items()}
    return Outputs({**files, "CONTCAR": structures.contcar(run)}, _whole(console, run))


def failed(run: Run, failure: Failure) -> Outputs:
    """Return the outputs of a run that fails: what its breaking off leaves, and what it says."""
    if not failure.stops:
        whole = finished(run)
        # The message comes amid the electronic steps.
        said = console.head(run) + console.electronic(run, 0) + failure.message
        rest = whole.stdout.removeprefix(console.head(run) + console.electronic(run, 0))
        return Outputs(whole.files, said + rest, failure.complaint, failure.exit_code)
    done = 0 if failure.stops == "start" else len(run.steps) // 2
    amid = failure.stops == "writing"
    if failure.stops == "step" and done == 0:
        amid = True  # a run of one step has nothing between steps
    files = {name: _broken(writer, run, done, amid) for name, writer in WRITERS.items()}
    files["CONTCAR"] = structures.contcar(run, done)
    return Outputs(files, _broken(console, run, done, amid) + failure.message, failure.complaint, failure.exit_code)


def refused(message: str, engine: str) -> Outputs:
    """Return the outputs of a run that cannot start: files opened, not filled."""
    files = dict.fromkeys(FILES, "") | {"OUTCAR": outcar.banner(engine)}
    return Outputs(files, console.banner(engine) + console.refusal(message), exit_code=1)


def _whole(writer: Writer, run: Run) -> str:
    return _steps(writer, run, len(run.steps)) + writer.tail(run)


def _broken(writer: Writer, run: Run, done: int, amid: bool) -> str:
    rest = writer.electronic(run, done) if amid else ""
    return _steps(writer, run, done) + rest[: len(rest) // 2]


def _steps(writer: Writer, run: Run, number: int) -> str:
    return writer.head(run) + "".join(writer.electronic(run, i) + writer.ionic(run, i) for i in range(number))
