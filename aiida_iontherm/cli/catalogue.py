"""``iontherm materials``, ``protocols`` and ``engines``: what there is to choose from."""

from __future__ import annotations

import json

import click

from aiida_iontherm.cli.common import json_option, user_errors


@click.group()
def materials() -> None:
    """Bundled compounds: facts with sources."""


@materials.command("list")
@json_option
def list_materials(as_json: bool) -> None:
    """List all entries."""
    from aiida_iontherm.materials.table import load_table

    table = load_table()
    if as_json:
        click.echo(
            json.dumps([{"id": c.id, "formula": c.formula, "family": c.family, "tier": c.tier.value} for c in table])
        )
        return
    width = max(len(compound.id) for compound in table)
    for compound in sorted(table, key=lambda c: (c.family, c.formula, c.tier.rank)):
        order = "" if compound.ordered else "  partly occupied: needs --order"
        click.echo(f"{compound.id:{width}s}  {compound.formula:12s} {compound.family:12s} {compound.tier.value}{order}")
    click.echo(f"{len(table)} entries; `iontherm materials show FORMULA` tells more about one.")


@materials.command("show")
@click.argument("name")
@user_errors
def show_material(name: str) -> None:
    """Show structure, trust and published values of a compound, by id or formula."""
    from aiida_iontherm.materials.table import entries, find, published

    compound = find(name)
    a, b, c, alpha, beta, gamma = compound.lattice
    click.echo(f"{compound.formula} ({compound.id}), {compound.family}")
    click.echo(f"  space group {compound.space_group}, {a:g} x {b:g} x {c:g} Angstrom, {alpha:g} {beta:g} {gamma:g}")
    for site in compound.sites:
        x, y, z = site.position
        share = "" if site.occupancy == 1 else f"  occupancy {site.occupancy:g}"
        click.echo(f"    {site.label:4s} {x:9.5f} {y:9.5f} {z:9.5f}{share}")
    click.echo(f"  trust: {compound.tier.sentence}")
    click.echo(f"  source: {compound.citation}")
    if compound.note:
        click.echo(f"  note: {compound.note}")
    others = [other.id for other in entries(compound.formula) if other.id != compound.id]
    if others:
        click.echo(f"  other entries: {', '.join(others)}")
    values = published(compound.formula)
    if values:
        click.echo("  published:")
    for value in values:
        at = f" at {value.temperature_K} K" if value.temperature_K else ""
        error = f" +- {value.uncertainty:g}" if value.uncertainty else ""
        click.echo(f"    {value.label}{at}: {value.value:g}{error} {value.unit} ({value.citation})")


@click.command()
@click.argument("name", required=False)
@user_errors
def protocols(name: str | None) -> None:
    """List the protocols, or print one in full (a file to edit for --overrides)."""
    from aiida_iontherm.workchains.protocols import available_protocols, load_protocol

    if name is None:
        for protocol, description in available_protocols().items():
            click.echo(f"{protocol:10s} {description}")
        return
    import yaml

    click.echo(yaml.safe_dump(load_protocol(name).model_dump(mode="json"), sort_keys=False).rstrip())


@click.command()
def engines() -> None:
    """List the reference engines, ASE calculators and programs, and whether each can be used here."""
    from importlib.util import find_spec

    from aiida_iontherm.engines.embedded import available_engines, missing_packages

    for name in available_engines():
        missing = missing_packages(name)
        click.echo(f"{name:10s} {'ready' if not missing else 'needs ' + ', '.join(missing)}")
    from aiida_iontherm.engines.builders import available_codes, engine_class

    for name in available_codes():
        package = engine_class(name).PACKAGE
        installed = find_spec(package.replace("-", "_")) is not None
        state = (
            f"a program: name its code with --set engine.code=LABEL@COMPUTER, of the plugin {engine_class(name).PLUGIN}"
        )
        click.echo(f"{name:10s} {state if installed else f'needs {package}'}")
