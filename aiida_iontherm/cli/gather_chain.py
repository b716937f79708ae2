"""From the nodes of a single calculation to the records of its report: Green-Kubo, heat exchange, barriers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from aiida_iontherm.cli.common import MATERIAL, REPORTED
from aiida_iontherm.cli.gather import call_tree, dynamics_warnings, gather, process_tree, provenance, versions
from aiida_iontherm.report.model import BarrierData, GreenKuboData, ReportInput, WellData

if TYPE_CHECKING:
    from aiida.orm import ProcessNode

    from aiida_iontherm.report.figures.nemd import NemdData


def gather_any(run: ProcessNode) -> ReportInput:
    """Collect what a run of a whole compound or of one of the chains in `CHAINS` left behind.

    Parameters
    ----------
    run
        From `cli.common.load_reported_run`.
    """
    if run.process_label == MATERIAL:
        return gather(run)
    from aiida_iontherm.materials.loaders import reduced_formula

    about, title, records = CHAINS[run.process_label]
    formula, tree = reduced_formula(run.inputs.structure.get_ase()), call_tree(run)
    return ReportInput(
        about=about,
        title=f"{title} {formula}",
        formula=formula,
        structure_source=run.inputs.structure.description or f"Structure <{run.inputs.structure.pk}>.",
        protocol="",
        created=run.ctime.strftime("%Y-%m-%d %H:%M"),
        package_versions=versions(),
        settings=run.inputs.settings.get_dict(),
        warnings=[*([run.exit_message] if run.exit_status else []), *dynamics_warnings(run)],
        quantities=run.outputs.result.quantities,
        provenance=provenance(tree),
        process_tree=process_tree(tree),
        **records(run),
    )


def _green_kubo(run: ProcessNode) -> dict[str, Any]:
    arrays = {name: run.outputs.integrals.get_array(name) for name in run.outputs.integrals.get_arraynames()}
    first, last = arrays["window_ps"]
    whole = ("kappa_green_kubo", "kappa_cepstral", "kappa_onsager")
    record = GreenKuboData(
        temperature=run.inputs.settings["temperature"],
        lags_ps=arrays["lags_ps"],
        kappa=np.diagonal(arrays["kappa"], axis1=-2, axis2=-1),
        uncertainty=np.diagonal(arrays["uncertainty"], axis1=-2, axis2=-1),
        window_ps=(float(first), float(last)),
        others=[quantity for quantity in run.outputs.result.quantities if quantity.name in whole],
    )
    return {"green_kubo": record}


def _nemd(run: ProcessNode) -> dict[str, Any]:
    outputs = run.outputs
    if "profiles" not in outputs:
        return {}
    return {"nemd": nemd_data(dict(outputs.profiles.items()), dict(outputs.figures.items()))}


def nemd_data(profiles: dict[str, Any], figures: dict[str, Any]) -> NemdData:
    """Analyse the profiles of all lengths again, as their jobs did, and extrapolate where two or more can be used."""
    from aiida_iontherm.physics.heat import extrapolate_length
    from aiida_iontherm.report.figures.nemd import NemdData
    from aiida_iontherm.tasks.nemd_files import HeatExchangeRun

    cells = []
    for label, node in profiles.items():
        run = HeatExchangeRun(
            profile=node.get_array("profile"),
            cell=node.get_array("cell"),
            axis=int(node.get_array("axis")),
            **{name: float(node.get_array(name)) for name in ("power_ev_per_ps", "block_ps", "temperature_k")},
        )
        cells.append(run.analyse(figures[label]["skipped_slabs"]))
    usable = [cell for cell in cells if cell.gradient > 0]
    line = None
    if len({cell.length_A for cell in usable}) > 1:
        line = extrapolate_length(
            [cell.length_A for cell in usable],
            [cell.kappa for cell in usable],
            [cell.uncertainty for cell in usable],
        )
    return NemdData(cells=cells, extrapolation=line)


def _barrier(run: ProcessNode) -> dict[str, Any]:
    profiles, figures = run.outputs.profiles, run.outputs.output_parameters.get_dict()
    return barrier_data({name: profiles.get_array(name) for name in profiles.get_arraynames()}, figures)


def barrier_data(arrays: dict[str, np.ndarray], figures: dict[str, Any]) -> dict[str, list[Any]]:
    """Make records from ``barriers.npz`` and the figures of the task ``barrier``."""
    wells = []
    for number, record in enumerate(figures.get("scans", [])):
        energies, coefficients = arrays["scan_energies_ev"][number], arrays["coefficients"][number].copy()
        lowest = energies.min()
        coefficients[0] -= lowest
        wells.append(
            WellData(
                label=f"{record['site']} {record['direction']}",
                displacements_A=arrays["displacements_A"],
                energies_ev=energies - lowest,
                coefficients=coefficients,
            )
        )
    paths = [
        BarrierData(
            label=record["label"],
            path_A=arrays[f"path_A_{number}"],
            energies_ev=arrays[f"energies_ev_{number}"],
            curve_path_A=arrays[f"curve_path_A_{number}"],
            curve_ev=arrays[f"curve_ev_{number}"],
            converged=record["converged"],
        )
        for number, record in enumerate(figures.get("barriers", []))
        # A path that failed has no profile.
        if record["forward_ev"] is not None
    ]
    return {"barriers": paths, "wells": wells}


_PARTS: tuple[tuple[str, str, Callable[[ProcessNode], dict[str, Any]]], ...] = (
    ("green_kubo", "Thermal conductivity by Green–Kubo of", _green_kubo),
    ("nemd", "Thermal conductivity by heat exchange of", _nemd),
    ("barrier", "Migration barriers of", _barrier),
)
CHAINS = dict(zip(REPORTED, _PARTS, strict=True))
"""What the report is about, its title, and its records, by work chain."""
