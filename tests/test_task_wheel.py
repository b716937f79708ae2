"""The distribution iontherm-task: complete without AiiDA, and of one piece with the package it is made from."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path

import ase.io
import pytest
from ase.build import bulk

import aiida_iontherm

ROOT = Path(__file__).parents[1]
DISTRIBUTION = ROOT / "packaging" / "iontherm-task"
PACKAGE = ROOT / "aiida_iontherm"

LEFT_OUT = {"aiida", "click", "jinja2", "pymatgen", "rich"}
"""What the package needs and the tasks do not. (matplotlib is a dependency of phonopy.)"""

BLOCK = f"""
import sys

class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {sorted(LEFT_OUT)}:
            raise ModuleNotFoundError(f"{{name}} is not there on a compute node")

sys.meta_path.insert(0, Block())
"""

OPTIONAL = {"chgnet", "dynasor", "gpaw", "mace", "tblite", "torch"}
"""Engines and extras, imported when asked for."""


@pytest.fixture(scope="module")
def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def own():
    return tomllib.loads((DISTRIBUTION / "pyproject.toml").read_text())


def test_it_asks_for_nothing_else_than_the_package(own, project):
    assert set(own["project"]["dependencies"]) < set(project["dependencies"])
    extras = own["project"]["optional-dependencies"]
    assert extras.pop("bond-valence") == [line for line in project["dependencies"] if line.startswith("pymatgen")]
    assert extras == {name: project["optional-dependencies"][name] for name in extras}
    for key in ("requires-python", "license", "authors"):
        assert own["project"][key] == project[key]


def test_it_offers_the_same_engines_and_the_same_command(own, project):
    group = "iontherm.calculators"
    assert own["project"]["entry-points"] == {group: project["entry-points"][group]}
    assert own["project"]["scripts"].items() < project["scripts"].items()


def test_all_that_its_modules_import_is_a_dependency_or_optional(own):
    """Also inside functions, which a short run does not reach."""
    names = {re.match(r"[\w-]+", line).group().lower() for line in own["project"]["dependencies"]}
    known = {"yaml" if name == "pyyaml" else name for name in names} | OPTIONAL | {"aiida_iontherm", "pymatgen"}
    left_out = [PACKAGE / pattern.strip("/") for pattern in own["tool"]["scikit-build"]["wheel"]["exclude"]]
    for path in PACKAGE.rglob("*.py"):
        if any(path.is_relative_to(folder) for folder in left_out):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.level == 0:
                modules = [node.module]
            tops = {module.partition(".")[0] for module in modules} - sys.stdlib_module_names
            assert tops <= known, path


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The wheel in a folder of its own, with the compiled module of this checkout: to compile it takes a minute."""
    compiled = list(PACKAGE.glob("_native*.so"))
    if find_spec("scikit_build_core") is None or not compiled:
        pytest.skip("needs the checkout as `make native` leaves it: scikit-build-core and the compiled module")
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    settings = ["-C", "wheel.cmake=false", "-C", "wheel.platlib=true"]
    build = ["wheel", "--no-build-isolation", "--no-deps", "--no-index", *settings, "--wheel-dir", folder]
    subprocess.run([*pip, *build, DISTRIBUTION], check=True, timeout=120)
    (wheel,) = folder.glob("*.whl")
    subprocess.run([*pip, "install", "--no-deps", "--no-index", "--target", folder / "site", wheel], check=True)
    for module in compiled:
        shutil.copy(module, folder / "site" / "aiida_iontherm")
    (folder / "block").mkdir()
    (folder / "block" / "sitecustomize.py").write_text(BLOCK)
    return folder


@pytest.fixture
def run(installed, tmp_path):
    """Run the installed command where nothing that the tasks must do without can be imported."""
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(installed / "block"), str(installed / "site")]),
        "OMP_NUM_THREADS": "1",
    }

    def run(*arguments, **more):
        done = subprocess.run(
            [sys.executable, *more.get("python", ()), installed / "site" / "bin" / "iontherm-task", *arguments],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    return run


@pytest.mark.slow
def test_only_what_runs_on_a_compute_node_is_in_it(installed):
    package = installed / "site" / "aiida_iontherm"
    assert {path.name for path in package.iterdir() if path.is_dir() and path.name != "__pycache__"} == {
        "engines",
        "materials",
        "physics",
        "tasks",
    }
    assert not (package / "engines" / "builders").exists()
    metadata = installed / "site" / f"iontherm_task-{aiida_iontherm.__version__}.dist-info"
    assert "Permission is hereby granted, free of charge" in (metadata / "licenses" / "LICENSE").read_text()


@pytest.mark.slow
def test_version_is_that_of_the_package(run):
    assert run("--version").stdout.strip() == aiida_iontherm.__version__


@pytest.mark.slow
def test_help_imports_nothing_heavy(run, installed):
    done = run("--help", python=["-X", "importtime"])
    assert "lattice-conductivity" in done.stdout
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "aiida_iontherm.tasks.registry" in imported
    assert not imported & {"numpy", "ase", "pydantic"}


@pytest.mark.slow
def test_tasks_run_without_aiida(run, tmp_path):
    """Label by EMT, train on the labels."""
    frames = []
    for seed in range(6):
        frames.append(bulk("Cu", cubic=True))
        frames[-1].rattle(0.1, seed=seed)
    ase.io.write(tmp_path / "structures.extxyz", frames)
    (tmp_path / "input.json").write_text(json.dumps({"engine": "emt", "mode": "label"}))
    run("reference")
    settings = {"level": 4, "cutoff": 4.0, "radial_size": 4, "max_iterations": 5}
    (tmp_path / "input.json").write_text(json.dumps(settings))
    run("train")
    assert (tmp_path / "potential.mtp").read_text().startswith("MTP")
    assert json.loads((tmp_path / "output.json").read_text())["results"]["configurations"] == len(frames)


@pytest.mark.slow
def test_every_task_can_be_imported_without_aiida(installed):
    code = (
        "import importlib, aiida_iontherm; from aiida_iontherm.tasks.registry import TASKS; "
        "[importlib.import_module(module) for module, _ in TASKS.values()]; print(aiida_iontherm.__file__)"
    )
    paths = os.pathsep.join([str(installed / "block"), str(installed / "site")])
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=installed,
        env=os.environ | {"PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()).is_relative_to(installed / "site")
