"""``iontherm results`` and ``iontherm report``: the outcome of a run, for people and for programs."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from aiida_iontherm.cli.common import (
    UserError,
    json_option,
    load_profile,
    load_reported_run,
    profile_option,
    user_errors,
)

if TYPE_CHECKING:
    from aiida.orm import ProcessNode

    from aiida_iontherm.physics.quantity import Quantity


@click.command()
@click.argument("process")
@click.option("--csv", "as_csv", is_flag=True, help="Print comma-separated values.")
@json_option
@profile_option
@user_errors
def results(process: str, as_csv: bool, as_json: bool, profile_name: str | None) -> None:
    """Print the results of the run PROCESS (pk or uuid): value, error bar, verdict.

    PROCESS is a run of `iontherm run`, or of the work chains for Green-Kubo, heat exchange or barriers.
    """
    load_profile(profile_name)
    node = load_reported_run(process)
    _need_result(node)
    if as_json:
        click.echo(_json(node))
    elif as_csv:
        click.echo(records_csv(node.outputs.result.quantities), nl=False)
    else:
        print_table(node)


@click.command()
@click.argument("process")
@click.option("-o", "--output", "folder", type=click.Path(file_okay=False, path_type=Path), help="Folder to write to.")
@profile_option
@user_errors
def report(process: str, folder: Path | None, profile_name: str | None) -> None:
    """Write the report of the run PROCESS: one HTML page, its figures and their data.

    PROCESS is a run of `iontherm run`, or of the work chains for Green-Kubo, heat exchange or barriers.
    """
    load_profile(profile_name)
    node = load_reported_run(process)
    _need_result(node)
    click.echo(f"Report: {write(node, folder)}")


def finish(node: ProcessNode, folder: Path | None, as_json: bool) -> None:
    """Print the outcome of a run and where its report lies; leave with its exit status."""
    if "result" in node.outputs:
        path = write(node, folder)
        if as_json:
            click.echo(_json(node))
        else:
            print_table(node)
            click.echo(f"Report: {path}")
    if not node.is_finished_ok:
        message = node.exit_message or f"it ended as {node.process_state.value}"
        raise UserError(f"run {node.pk}: {message}. `iontherm why {node.pk}` tells more")


def write(node: ProcessNode, folder: Path | None = None) -> Path:
    """Write the report of a run and return the path of its page."""
    from aiida_iontherm.cli.gather_chain import gather_any
    from aiida_iontherm.report.write import write_report

    return write_report(gather_any(node), folder or Path.cwd() / f"iontherm-report-{node.pk}")


def print_table(node: ProcessNode) -> None:
    """Print all quantities of a run with a verdict each, and what its dynamics warns of."""
    from aiida_iontherm.cli.gather import dynamics_warnings

    about = node.inputs.settings.get_dict().get("description", "")
    remarks = [f"{node.description.partition(':')[0]}: {about}" if about else "", *dynamics_warnings(node)]
    print_quantities(
        node.outputs.result.quantities,
        f"{node.label or node.process_label}, run {node.pk}",
        "\n".join(filter(None, remarks)),
    )


def print_quantities(quantities: Sequence[Quantity], title: str, remark: str = "") -> None:
    """Print records with a verdict each, the reasons of the verdicts below, and a remark."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from aiida_iontherm.report.format import label, results_table, unit_text

    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left")
    for name in ("quantity", "T", "direction", "value", "unit", "verdict"):
        table.add_column(name, justify="right" if name == "value" else "left", no_wrap=name != "quantity")
    notes: dict[str, int] = {}
    for row, quantity in zip(results_table(quantities), quantities, strict=True):
        mark = row.verdict
        if row.reason:
            number = notes.setdefault(row.reason, len(notes) + 1)
            mark += f" ({number})"
        value = row.value.removesuffix(quantity.unit).strip()
        table.add_row(label(quantity.name), row.temperature, row.direction, value, unit_text(quantity.unit), mark)
    console = Console(width=None if Console().is_terminal else 110)
    console.print(table)
    for reason, number in notes.items():
        console.print(f"  ({number}) {reason}", highlight=False)
    console.print(f"\n{remark}\n" if remark else "", highlight=False)


def _need_result(node: ProcessNode) -> None:
    if "result" not in node.outputs:
        state = node.exit_message or f"it is {node.process_state.value}"
        raise UserError(f"process {node.pk} has no result: {state}. `iontherm why {node.pk}` tells more")


def _json(node: ProcessNode) -> str:
    from aiida_iontherm.cli.gather import dynamics_warnings

    records = [quantity.to_dict() for quantity in node.outputs.result.quantities]
    run = {"run": node.pk, "uuid": node.uuid, "material": node.label}
    return json.dumps(run | {"results": records, "warnings": dynamics_warnings(node)}, indent=1)


def records_csv(quantities: Sequence[Quantity]) -> str:
    """Comma-separated values of records, with a header."""
    records = [quantity.to_dict() for quantity in quantities]
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(records[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return text.getvalue()
