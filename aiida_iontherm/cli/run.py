"""``iontherm run``: one compound from its structure to its transport; ``iontherm watch`` follows a submitted one."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aiida_iontherm.cli.common import (
    UserError,
    json_option,
    load_material_run,
    load_profile,
    profile_option,
    user_errors,
)

if TYPE_CHECKING:
    from aiida.orm import ProcessNode, StructureData

    from aiida_iontherm.data import PotentialData
    from aiida_iontherm.materials.loaders import LoadedStructure
    from aiida_iontherm.workchains.plan import Step
    from aiida_iontherm.workchains.settings import Settings


@click.command()
@click.argument("source")
@click.option("--protocol", default="demo", show_default=True, help="See `iontherm protocols`.")
@click.option(
    "--overrides", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="YAML file of settings."
)
@click.option(
    "--set", "assignments", multiple=True, metavar="KEY=VALUE", help="One setting, e.g. dynamics.production_ps=50."
)
@click.option("-T", "--temperature", "temperatures", multiple=True, type=float, help="K; may be given several times.")
@click.option("--engine", help="Reference engine, see `iontherm engines`.")
@click.option("--mobile", help="Symbol of the mobile ion, where the guess is wrong.")
@click.option(
    "--potential", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Ready potential, .mtp."
)
@click.option("--species", help="Elements of the potential in its order, e.g. Cs,Cu,I.")
@click.option("--order", is_flag=True, help="Make an ordered cell of a partly occupied structure.")
@click.option("--code", default="iontherm-task@localhost", show_default=True, help="Code that runs the tasks.")
@click.option(
    "--option",
    "options",
    multiple=True,
    metavar="KEY=VALUE",
    help="Scheduler option of all jobs, e.g. max_wallclock_seconds=86400, queue_name=long, account=mine.",
)
@click.option("--campaign", help="Group to put the run into.")
@click.option("--submit", is_flag=True, help="Hand the run to the AiiDA daemon and return.")
@click.option("--dry-run", is_flag=True, help="Say what would be done and what it would cost.")
@click.option("--report", "folder", type=click.Path(file_okay=False, path_type=Path), help="Folder of the report.")
@json_option
@profile_option
@user_errors
def run(
    source: str,
    protocol: str,
    overrides: Path | None,
    assignments: tuple[str, ...],
    temperatures: tuple[float, ...],
    engine: str | None,
    mobile: str | None,
    potential: Path | None,
    species: str | None,
    order: bool,
    code: str,
    options: tuple[str, ...],
    campaign: str | None,
    submit: bool,
    dry_run: bool,
    folder: Path | None,
    as_json: bool,
    profile_name: str | None,
) -> None:
    """Compute heat and ion transport of SOURCE.

    SOURCE is a CIF, POSCAR or extended XYZ file, a bundled compound (formula or id, see `iontherm materials list`), or
    the pk of an AiiDA structure.
    """
    from aiida_iontherm.workchains.plan import make_plan
    from aiida_iontherm.workchains.protocols import load_protocol

    changes = _changes(overrides, assignments, temperatures, engine, mobile)
    settings = load_protocol(protocol, changes)
    names = _species(potential, species)
    scheduler = _assigned(options, "--option")
    if source.isdigit():
        load_profile(profile_name)
    structure = _load_source(source, order)
    _check(structure, settings, potential, names)
    plan = make_plan(structure.atoms, settings, with_training=potential is None)
    if not as_json:
        _say_plan(structure, protocol, settings, plan)
    lacking = None if potential else _not_installed(settings)
    if dry_run:
        if as_json:
            click.echo(json.dumps([vars(step) for step in plan]))
        elif lacking:
            click.echo(f"Before it can run: {lacking}.", err=True)
        return
    if lacking:
        raise UserError(lacking)
    profile = load_profile(profile_name)
    _check_disk(plan, profile)
    builder = _builder(structure, code, protocol, changes, potential, names, scheduler)
    if submit:
        _submit(builder, campaign)
        return
    node = _run_here(builder, plan, campaign, quiet=as_json)
    from aiida_iontherm.cli.results import finish

    finish(node, folder, as_json)


@click.command()
@click.argument("process")
@profile_option
@user_errors
def watch(process: str, profile_name: str | None) -> None:
    """Follow a run that was submitted, until it ends."""
    import time

    from aiida_iontherm.cli.progress import INTERVAL, ProgressDisplay
    from aiida_iontherm.cli.results import finish
    from aiida_iontherm.workchains.plan import make_plan
    from aiida_iontherm.workchains.settings import Settings

    load_profile(profile_name)
    node = load_material_run(process)
    settings = Settings.model_validate(node.inputs.settings.get_dict())
    plan = make_plan(node.inputs.structure.get_ase(), settings, with_training="potential" not in node.inputs)
    display = ProgressDisplay(node, plan, os.cpu_count() or 1)
    while not node.is_terminated:
        display.refresh()
        time.sleep(INTERVAL)
    display.close()
    finish(node, None, as_json=False)


def _changes(
    overrides: Path | None,
    assignments: tuple[str, ...],
    temperatures: tuple[float, ...],
    engine: str | None,
    mobile: str | None,
) -> dict[str, Any]:
    """Collect the settings that differ from the protocol: the file first, then the options."""
    import yaml

    changes: dict[str, Any] = {}
    if overrides is not None:
        try:
            changes = yaml.safe_load(overrides.read_text(encoding="utf-8")) or {}
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise UserError(f"{overrides} is not YAML: {error}") from error
        if not isinstance(changes, dict):
            raise UserError(f"{overrides} must hold sections and keys like those of `iontherm protocols demo`")
    for key, value in _assigned(assignments, "--set").items():
        *path, last = key.split(".")
        section = changes
        for name in path:
            section = section.setdefault(name, {})
            if not isinstance(section, dict):
                raise UserError(f"--set {key}: {name} is a value, not a section")
        section[last] = value
    if temperatures:
        changes["temperatures"] = list(temperatures)
    if engine is not None:
        _section(changes, "engine")["name"] = engine
    if mobile is not None:
        changes["mobile"] = mobile
    return changes


def _section(changes: dict[str, Any], name: str) -> dict[str, Any]:
    section = changes.setdefault(name, {})
    if not isinstance(section, dict):
        raise UserError(f"{name} is a section with keys, not {section!r}: see `iontherm protocols demo`")
    return section


def _assigned(assignments: tuple[str, ...], option: str) -> dict[str, Any]:
    """Parse KEY=VALUE; values are YAML, so that numbers, lists and true are what they look like."""
    import yaml

    values = {}
    for assignment in assignments:
        key, separator, text = assignment.partition("=")
        if not separator or not key.strip():
            raise UserError(f"{option} wants KEY=VALUE, not {assignment}")
        try:
            values[key.strip()] = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise UserError(f"{option} {key}: {text} is not a YAML value") from error
    return values


def _species(potential: Path | None, species: str | None) -> list[str]:
    if (potential is None) != (species is None):
        raise UserError("--potential and --species belong together: .mtp files carry no element names")
    return [name.strip() for name in species.split(",")] if species else []


def _load_source(source: str, order: bool) -> LoadedStructure:
    from aiida_iontherm.materials.loaders import LoadedStructure, guess_mobile_species, load_structure

    if not source.isdigit():
        return load_structure(source, order=order)
    from aiida.common.exceptions import NotExistent
    from aiida.orm import StructureData, load_node

    try:
        node = load_node(int(source))
    except NotExistent as error:
        raise UserError(f"there is no AiiDA node {source}") from error
    if not isinstance(node, StructureData):
        raise UserError(f"node {source} is a {node.__class__.__name__}, not a structure")
    if node.is_alloy or node.has_vacancies:
        raise UserError(f"structure {source} has partly occupied sites: give its CIF with --order")
    atoms = node.get_ase()
    return LoadedStructure(
        atoms=atoms,
        name=node.label or node.get_formula(),
        origin=f"AiiDA node {source}",
        mobile=guess_mobile_species(atoms),
        notes=(),
    )


def _check(structure: LoadedStructure, settings: Settings, potential: Path | None, names: list[str]) -> None:
    """Everything that can be known to go wrong before anything is submitted."""
    symbols = structure.atoms.get_chemical_symbols()
    if settings.mobile is not None and settings.mobile not in symbols:
        raise UserError(f"there is no {settings.mobile} in {structure.atoms.get_chemical_formula()}: correct --mobile")
    if potential is not None:
        from aiida_iontherm.physics.mtp import MomentTensorPotential

        MomentTensorPotential.read(potential, names).check_species(symbols)
        return
    from aiida_iontherm.engines.embedded import available_engines, check_elements

    # A program is checked together with its code and its potentials, which are in a profile.
    if settings.engine.name in available_engines() or settings.engine.code is None:
        check_elements(settings.engine.name, symbols)


def _not_installed(settings: Settings) -> str | None:
    """Say what the engine of these settings lacks on this machine, or ``None``."""
    from aiida_iontherm.engines.embedded import available_engines, missing_packages

    name = settings.engine.name
    if name not in available_engines():
        return None
    missing = missing_packages(name)
    if not missing:
        return None
    return (
        f"the engine {name} needs {', '.join(missing)}: pip install 'aiida-iontherm[{name}]' or choose another with "
        "--engine (see `iontherm engines`)"
    )


def _check_disk(plan: list[Step], profile: Any) -> None:
    from aiida.manage.configuration import get_config

    needed = 3 * sum(step.megabytes for step in plan) + 50
    free = shutil.disk_usage(get_config().dirpath).free / 1e6
    if free < needed:
        raise UserError(
            f"the disk of profile {profile.name} has {free:.0f} MB left, this run needs about {needed:.0f} MB"
        )


def _say_plan(structure: LoadedStructure, protocol: str, settings: Settings, plan: list[Step]) -> None:
    from aiida_iontherm.materials.loaders import reduced_formula

    cores = os.cpu_count() or 1
    atoms = structure.atoms
    formula = structure.compound.formula if structure.compound else reduced_formula(atoms)
    click.echo(f"{formula}: {len(atoms)} atoms, {structure.origin}")
    for note in structure.notes:
        click.echo(f"  {note}")
    click.echo(f"Protocol {protocol}: {settings.description}")
    for number, step in enumerate(plan, start=1):
        click.echo(f"  {number}. {step.what}: {step.jobs} job(s), about {_minutes(step.wall_seconds(cores))}")
    seconds = sum(step.wall_seconds(cores) for step in plan)
    jobs, disk = sum(step.jobs for step in plan), sum(step.megabytes for step in plan)
    click.echo(f"In all {jobs} jobs, about {_minutes(seconds)} on {cores} cores, {max(1, 2 * disk):.0f} MB of disk.")


def _minutes(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _builder(
    structure: LoadedStructure,
    code_label: str,
    protocol: str,
    changes: dict[str, Any],
    potential: Path | None,
    names: list[str],
    options: dict[str, Any],
) -> Any:
    from aiida.common.exceptions import NotExistent
    from aiida.orm import load_code

    from aiida_iontherm.workchains.material import MaterialWorkChain

    try:
        code = load_code(code_label)
    except NotExistent as error:
        raise UserError(f"there is no code {code_label} in this profile: run `iontherm setup`") from error
    if structure.mobile is not None:
        changes.setdefault("mobile", structure.mobile)
    builder = MaterialWorkChain.get_builder_from_protocol(
        code,
        _structure_node(structure),
        protocol,
        overrides=changes,
        potential=_potential_node(potential, names),
        options=options,
    )
    builder.metadata.label = structure.name
    builder.metadata.description = f"{protocol}: {structure.origin}"
    return builder


def _structure_node(structure: LoadedStructure) -> StructureData:
    from aiida.orm import StructureData

    atoms = structure.atoms.copy()
    node = StructureData(cell=atoms.cell.array, pbc=True)
    for position, symbol in zip(atoms.positions, atoms.get_chemical_symbols(), strict=True):
        node.append_atom(position=position, symbols=symbol)
    node.label = structure.name
    node.description = structure.origin
    return node


def _potential_node(path: Path | None, names: list[str]) -> PotentialData | None:
    if path is None:
        return None
    from aiida_iontherm.data import PotentialData

    with path.open("rb") as stream:
        return PotentialData(stream, species=names)


def _run_here(builder: Any, plan: list[Step], campaign: str | None, *, quiet: bool) -> ProcessNode:
    """Run in this process, with a display in the same event loop: the database is used by one thread only."""
    from aiida.engine.utils import instantiate_process
    from aiida.manage import get_manager
    from aiida.manage.caching import enable_caching

    from aiida_iontherm.campaigns import add_run
    from aiida_iontherm.cli.progress import ProgressDisplay
    from aiida_iontherm.cli.setup import CACHED

    runner = get_manager().create_runner(communicator=None, poll_interval=0.5)
    _quiet_console()
    with enable_caching(identifier=CACHED[0]):
        process = instantiate_process(runner, builder)
        node = process.node
        if campaign is not None:
            add_run(campaign, node)
        if not quiet:
            click.echo(f"Run {node.pk} started; `verdi process status {node.pk}` shows its tree.")
        display = ProgressDisplay(node, plan, os.cpu_count() or 1)
        task = None if quiet else runner.loop.create_task(display.watch())
        try:
            runner.run_get_node(process)
        except Exception as error:
            if not node.is_excepted:
                raise
            # The process has stored its traceback; the user gets one line and the way to the rest.
            raise UserError(f"run {node.pk} broke off: {error}. `iontherm why {node.pk}` tells more") from error
        finally:
            if task is not None:
                task.cancel()
                display.close()
    return node


def _quiet_console() -> None:
    """Leave the reports of the processes to the database (`verdi process report`): the display says it in words."""
    import logging

    for handler in logging.getLogger("aiida").handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.setLevel(logging.CRITICAL)


def _submit(builder: Any, campaign: str | None) -> None:
    from aiida.engine import submit
    from aiida.engine.daemon.client import get_daemon_client

    from aiida_iontherm.campaigns import add_run

    if not get_daemon_client().is_daemon_running:
        raise UserError("the AiiDA daemon is not running: start it with `verdi daemon start`, or leave --submit out")
    node = submit(builder)
    if campaign is not None:
        add_run(campaign, node)
    click.echo(f"Submitted run {node.pk}. Follow it with `iontherm watch {node.pk}`.")
