"""The same small study of CuI by three engines from one protocol file: what differs, and what it costs.

    python benchmarks/three_engines.py FOLDER

Runs `iontherm run CuI --protocol demo --overrides workflows/three-engines.yaml` with CHGNet, with GPAW and with the
program that stands in for VASP (on CHGNet, so that it must give what CHGNet gives), in a profile of its own under
FOLDER. Prints a table in Markdown, and whether the records have one schema. A run that is there already is taken as it
is; steps that were done come from the cache.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

PROTOCOL = Path(__file__).parents[1] / "workflows" / "three-engines.yaml"
BIN = Path(sys.executable).parent
ENGINES = {
    "CHGNet": (),
    "GPAW": ("--engine", "gpaw"),
    "VASP's stand-in": (
        *("--engine", "vasp", "--set", "engine.code=mock-vasp@localhost"),
        *("--set", "engine.options={potential_family: MADE-UP}"),
    ),
}


def main() -> None:
    """Run what is missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    os.environ |= {
        "AIIDA_PATH": str(folder),
        "PYTHONWARNINGS": "ignore",
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
    }
    prepare(folder)
    runs = {name: run(folder, name, options) for name, options in ENGINES.items()}
    print(table(runs))
    schemas = {
        name: sorted((r["name"], r["direction"] or "", r["unit"]) for r in runs[name]["records"]) for name in runs
    }
    print("records of one schema:", len({json.dumps(schema) for schema in schemas.values()}) == 1)


def prepare(folder: Path) -> None:
    """Make the profile, and the stand-in's code with POTCARs that hold nothing."""
    call("iontherm", "setup", "--quiet")
    if subprocess.run(
        [BIN / "verdi", "code", "show", "mock-vasp@localhost"], capture_output=True, check=False
    ).returncode:
        call("iontherm-mock-vasp", "--potcars", str(folder / "potcars" / "family"), "Cu", "I")
        call(
            *("aiida-vasp", "potcar", "uploadfamily", "--path", str(folder / "potcars" / "family")),
            *("--name", "MADE-UP", "--description", "no potentials in it"),
        )
        call(
            *("verdi", "code", "create", "core.code.installed", "--non-interactive", "--label", "mock-vasp"),
            *("--computer", "localhost", "--no-with-mpi", "--default-calc-job-plugin", "vasp.vasp"),
            *("--prepend-text", "export IONTHERM_MOCK_VASP_ENGINE=chgnet OMP_NUM_THREADS=1"),
            *("--filepath-executable", str(BIN / "iontherm-mock-vasp")),
        )


def run(folder: Path, name: str, options: tuple[str, ...]) -> dict:
    """Return the records of a run and how long it took, from a file where it was done before."""
    path = folder / f"{name.split()[0].lower().strip(chr(39))}.json"
    if not path.exists():
        start = time.monotonic()
        text = call(
            *("iontherm", "run", "CuI", "--protocol", "demo", "--overrides", str(PROTOCOL), "--json"),
            *("--report", str(folder / path.stem), *options),
        )
        path.write_text(json.dumps({"records": json.loads(text), "seconds": time.monotonic() - start}))
    return json.loads(path.read_text())


def call(*command: str) -> str:
    """Run a program of this environment; show what it said where it fails."""
    done = subprocess.run([str(BIN / command[0]), *command[1:]], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stdout}\n{done.stderr}")
    return done.stdout


def table(runs: dict[str, dict]) -> str:
    """One line for each quantity, one column for each engine."""
    names = list(dict.fromkeys((r["name"], r["direction"]) for run in runs.values() for r in run["records"]))
    lines = ["| quantity | " + " | ".join(runs) + " | unit |", "| --- " * (len(runs) + 2) + "|"]
    for name, direction in names:
        cells, unit = [], ""
        for run_ in runs.values():
            record = next((r for r in run_["records"] if (r["name"], r["direction"]) == (name, direction)), None)
            if record is None or record["value"] is None:
                cells.append("none")
                continue
            unit = record["unit"]
            error = f" ± {record['uncertainty']:.2g}" if record["uncertainty"] else ""
            cells.append(f"{record['value']:.4g}{error}")
        lines.append(f"| {name} {direction or ''} | " + " | ".join(cells) + f" | {unit} |")
    seconds = " | ".join(f"{run_['seconds']:.0f}" for run_ in runs.values())
    return "\n".join([*lines, f"| whole run | {seconds} | s |"])


if __name__ == "__main__":
    main()
