"""Commands that need no profile: help, materials, protocols, engines, and the plan of a run."""

import json

import pytest
import yaml

from aiida_iontherm.cli import COMMANDS
from aiida_iontherm.materials.table import load_table
from aiida_iontherm.workchains.protocols import load_protocol


@pytest.mark.parametrize(
    "arguments",
    [[], *([name] for name in COMMANDS), ["materials", "list"], ["materials", "show"]],
    ids=lambda arguments: " ".join(arguments) or "iontherm",
)
def test_help(arguments, call):
    result = call(*arguments, "--help")
    assert result.exit_code == 0
    assert "Usage:" in result.output
    assert len(result.output.splitlines()) > 3


def test_help_lists_all_commands(call):
    output = call("-h").output
    assert all(f"\n  {name} " in output for name in COMMANDS)


def test_mistyped_command(call):
    result = call("rnu")
    assert result.exit_code == 2
    assert "there is no command rnu: did you mean run?" in result.stderr


def test_materials(call):
    listed = call("materials", "list")
    assert listed.exit_code == 0
    records = json.loads(call("materials", "list", "--json").output)
    assert [record["id"] for record in records] == [compound.id for compound in load_table()]
    assert all(record["id"] in listed.output for record in records)


def test_show_material(call):
    result = call("materials", "show", "CsCu2I3")
    assert result.exit_code == 0
    for words in ("space group", "trust:", "source:", "other entries:", "published:"):
        assert words in result.output


def test_unknown_material_names_the_nearest(refuse):
    assert "CsCu2I3" in refuse("materials", "show", "CsCu2I4")


def test_protocols(call):
    assert [line.split()[0] for line in call("protocols").output.splitlines()] == [
        "demo",
        "fast",
        "balanced",
        "precise",
    ]
    printed = call("protocols", "fast").output
    assert load_protocol("demo", yaml.safe_load(printed)) == load_protocol("fast")


def test_unknown_protocol(refuse):
    assert "did you mean balanced?" in refuse("protocols", "balance")


def test_engines(call):
    output = call("engines").output
    assert "emt        ready" in output
    assert all(len(line.split(maxsplit=1)) == 2 for line in output.splitlines())


def test_dry_run(call):
    result = call("run", "CsCu2I3", "--dry-run")
    assert result.exit_code == 0, result.output
    assert "CsCu2I3" in result.output
    assert "molecular dynamics of" in result.output
    # Where the engine is not installed, standard error says so after the plan.
    assert result.stdout.splitlines()[-1].startswith("In all ")


def test_dry_run_for_programs(call):
    records = json.loads(call("run", "CsCu2I3", "--dry-run", "--json", "-T", "300", "-T", "450").output)
    assert [record["name"] for record in records] == [
        "relax",
        "potential",
        "diffusion",
        "force_constants",
        "lattice_conductivity",
    ]
    assert records[2]["jobs"] == 2
    assert all(record["seconds"] > 0 for record in records)


def test_settings_from_file_and_command_line(call, tmp_path):
    """The command line wins over the file, the file over the protocol."""
    path = tmp_path / "mine.yaml"
    path.write_text("dynamics: {production_ps: 50.0, snapshots: 99}\ntemperatures: [350]\n")

    def plan(*arguments):
        return call("run", "CsCu2I3", "--dry-run", "--overrides", path, *arguments).output

    assert "at 350 K, 50 ps each" in plan()
    assert "at 412.5 K, 60 ps each" in plan("-T", "412.5", "--set", "dynamics.production_ps=60")
    assert "with emt" not in plan()
