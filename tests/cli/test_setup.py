"""`iontherm setup` in an AiiDA configuration of its own, from the shell, as a user would."""

import json

import ase.io
import pytest

from aiida_iontherm import __version__

pytestmark = pytest.mark.slow

OTHER_PROFILE = """
from pathlib import Path
from aiida.manage.configuration import create_profile, get_config
config = get_config(create=True)
create_profile(config, name="mine", email="me@here", storage_backend="core.sqlite_dos",
               storage_config={"filepath": str(Path(config.dirpath) / "mine")}, broker_backend=None, broker_config=None)
config.set_default_profile("mine")
config.set_option("runner.poll.interval", 17, scope="mine")
config.store()
"""

COUNT = """
from aiida import load_profile
load_profile("iontherm")
from aiida.orm import Computer, InstalledCode, QueryBuilder
print([QueryBuilder().append(kind).count() for kind in (Computer, InstalledCode)])
"""


def test_without_a_profile(shell):
    status, _, errors = shell.run("iontherm", "results", "1")
    assert status == 1
    assert errors == "Error: there is no AiiDA profile for iontherm yet: make one with `iontherm setup`\n"


def test_run_without_a_profile_ends_after_the_plan(shell, cuau):
    cuau.write(shell.folder / "cuau.xyz", format="extxyz")
    status, output, errors = shell.run("iontherm", "run", "cuau.xyz", "--engine", "emt")
    assert status == 1
    assert output.splitlines()[-1].startswith("In all")
    assert errors == "Error: there is no AiiDA profile for iontherm yet: make one with `iontherm setup`\n"


def test_setup_beside_another_profile(shell, cuau):
    """Made once, left alone afterwards; the other profile keeps every byte and stays the default."""
    shell.python(OTHER_PROFILE)
    before = json.loads(shell.config)
    status, output, errors = shell.run("iontherm", "setup")
    assert status == 0, errors
    assert "Made the AiiDA profile iontherm" in output
    assert "Made the computer localhost" in output
    assert "Made the code iontherm-task@localhost" in output

    config = json.loads(shell.config)
    assert config["profiles"]["mine"] == before["profiles"]["mine"]
    assert config["default_profile"] == "mine"
    ours = config["profiles"]["iontherm"]
    assert ours["storage"]["backend"] == "core.sqlite_dos"
    assert ours["process_control"]["backend"] == "core.zeromq"
    assert "aiida.calculations:iontherm.*" in ours["options"]["caching.enabled_for"]
    for key in set(before) - {"profiles"}:
        assert config[key] == before[key]

    again = shell.config
    status, output, errors = shell.run("iontherm", "setup")
    assert status == 0, errors
    assert output == "The profile iontherm is complete: computer localhost, code iontherm-task@localhost.\n"
    assert shell.config == again
    assert shell.python(COUNT).strip() == "[1, 1]"
    assert shell.run("iontherm", "setup", "--quiet")[:2] == (0, "")

    # The daemon does not run: said before anything is submitted.
    ase.io.write(shell.folder / "cuau.extxyz", cuau)
    status, output, errors = shell.run("iontherm", "run", "cuau.extxyz", "--engine", "emt", "--submit")
    assert status == 1
    assert errors.startswith("Error: the AiiDA daemon is not running: start it with `verdi daemon start`")
    assert len(errors.splitlines()) == 1
    # `verdi -p` reaches the profile that is not the default.
    status, output, errors = shell.run("verdi", "-p", "iontherm", "data", "iontherm", "list")
    assert (status, output) == (0, ""), errors


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--postgres", "mysql://a@b/c"], "--postgres wants postgresql://user:password@host:port/database"),
        (["--postgres", "postgresql://localhost"], "--postgres wants"),
    ],
)
def test_bad_setup_leaves_nothing_behind(arguments, words, shell):
    status, _, errors = shell.run("iontherm", "setup", *arguments)
    assert status == 1
    assert errors.startswith("Error: ")
    assert words in errors
    assert "iontherm" not in json.loads(shell.config)["profiles"]


def test_version(shell):
    status, output, _ = shell.run("iontherm", "--version")
    assert (status, output) == (0, f"iontherm, version {__version__}\n")
