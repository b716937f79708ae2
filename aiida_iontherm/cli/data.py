"""``verdi data iontherm``: list, show and export the nodes of this package."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
from aiida.cmdline.utils.decorators import with_dbenv

KINDS = ("configurations", "force_constants", "linewidths", "parity", "phonons", "potential", "result", "trajectory")


@click.group("iontherm")
def data_iontherm() -> None:
    """Inspect potentials, trajectories, force constants, phonons and results."""


def _load(identifier: str) -> Any:
    from aiida.common.exceptions import NotExistent
    from aiida.orm import load_node

    from aiida_iontherm.data import ArchiveData, ConfigurationsData, PotentialData, ResultData

    try:
        node = load_node(int(identifier) if identifier.isdigit() else identifier)
    except (NotExistent, ValueError) as error:
        raise click.ClickException(f"there is no node {identifier}") from error
    if not isinstance(node, (ArchiveData, ConfigurationsData, PotentialData, ResultData)):
        raise click.ClickException(f"node {identifier} is a {node.__class__.__name__}, not one of iontherm")
    return node


@data_iontherm.command("list")
@click.option("--kind", type=click.Choice(KINDS), help="Only one data type.")
@with_dbenv()
def list_nodes(kind: str | None) -> None:
    """List the nodes, newest last."""
    from aiida.orm import QueryBuilder
    from aiida.plugins import DataFactory

    for name in (kind,) if kind else KINDS:
        query = QueryBuilder().append(DataFactory(f"iontherm.{name}"), project=["id", "ctime", "label"])
        for pk, created, label in sorted(query.all()):
            click.echo(f"{pk:8d}  {created:%Y-%m-%d %H:%M}  {name:16s} {label}")


@data_iontherm.command("show")
@click.argument("node")
@with_dbenv()
def show_node(node: str) -> None:
    """Show what a node holds."""
    from aiida_iontherm.data import ArchiveData, ConfigurationsData, PotentialData

    loaded = _load(node)
    if isinstance(loaded, ArchiveData):
        for name, array in loaded.arrays().items():
            click.echo(f"{name:32s} {array.dtype} {list(array.shape)}")
    elif isinstance(loaded, ConfigurationsData):
        frames = loaded.frames()
        click.echo(f"{len(frames)} configurations of {frames[0].get_chemical_formula()}")
    elif isinstance(loaded, PotentialData):
        potential = loaded.potential()
        click.echo(
            f"species {', '.join(potential.species)}; cutoff {potential.cutoff:g} Angstrom; "
            f"{len(potential.moment_coeffs)} scalars, {potential.radial_coeffs.size} radial coefficients"
        )
    else:
        for quantity in loaded.quantities:
            click.echo(json.dumps(quantity.to_dict()))


@data_iontherm.command("export")
@click.argument("node")
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="File; default: its own name.")
@with_dbenv()
def export_node(node: str, output: Path | None) -> None:
    """Write the file of a node (a result as JSON)."""
    from aiida_iontherm.data import ResultData

    loaded = _load(node)
    if isinstance(loaded, ResultData):
        content = json.dumps([quantity.to_dict() for quantity in loaded.quantities], indent=1).encode()
        path = output or Path(f"result-{loaded.pk}.json")
    else:
        content = loaded.get_content(mode="rb")
        path = output or Path(loaded.filename)
    if path.exists():
        raise click.ClickException(f"{path} exists already: name another file with --output")
    path.write_bytes(content)
    click.echo(f"Wrote {path}.")
