"""From the nodes of a whole run to the records and arrays a report is made of; `gather_chain` has single parts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

import numpy as np

from aiida_iontherm.physics.ions import bose_einstein, critical_phonon_number, occupation_probability
from aiida_iontherm.report.lattice import dos_data, kappa_data, lifetime_data, spectral_data
from aiida_iontherm.report.model import (
    ConvergenceData,
    HopsData,
    MsdData,
    OccupationData,
    ParityData,
    ProcessStep,
    ProvenanceGraph,
    ProvenanceNode,
    ReportInput,
    SpectralData,
    VdosData,
)
from aiida_iontherm.report.motion import hops_data, msd_data, vdos_data

if TYPE_CHECKING:
    from aiida.orm import ProcessNode

PACKAGES = ("aiida-iontherm", "aiida-core", "phonopy", "phono3py", "hiphive", "ase", "chgnet", "numpy")


def gather(run: ProcessNode) -> ReportInput:
    """Collect what a run of `MaterialWorkChain` left behind; parts that are missing are left out."""
    from aiida_iontherm.materials.loaders import reduced_formula
    from aiida_iontherm.materials.table import find, published

    settings = run.inputs.settings.get_dict()
    try:
        compound = find(run.label)
        formula, trust = compound.formula, compound.tier.sentence
    except ValueError:
        formula = reduced_formula(run.inputs.structure.get_ase())
        trust = "not from the table of this package: as trustworthy as its source"
    protocol, _, origin = run.description.partition(": ")
    outputs = run.outputs
    quantities = outputs.result.quantities if "result" in outputs else []
    phonons, conductivity = _first_phonons(outputs), _conductivity(outputs)
    motion, tree = _motion(run, outputs, settings["mobile"]), call_tree(run)
    return ReportInput(
        title=f"Heat and ion transport of {formula}",
        formula=formula,
        structure_source=origin or run.inputs.structure.description,
        structure_trust=trust,
        protocol=protocol,
        protocol_note=settings["description"],
        created=run.ctime.strftime("%Y-%m-%d %H:%M"),
        package_versions=versions(),
        settings=settings,
        warnings=_warnings(run, settings),
        quantities=quantities,
        published=published(formula),
        kappa=None if conductivity is None else kappa_data(**conductivity),
        spectral=_spectra(outputs),
        convergence=_convergence(outputs),
        dos=None if phonons is None else dos_data(phonons),
        **motion,
        parity=_parity(outputs),
        lifetimes=None if phonons is None else lifetime_data(phonons),
        occupation=_occupation(quantities, settings),
        provenance=provenance(tree),
        process_tree=process_tree(tree),
    )


@dataclass(frozen=True)
class Called:
    """A process, what its caller calls it, and what it called itself."""

    node: ProcessNode
    label: str
    children: tuple[Called, ...]


def call_tree(run: ProcessNode) -> Called:
    """Walk from a run through all that it called, in the order in which it did."""
    return _walk(run, run.process_label)


def provenance(tree: Called) -> ProvenanceGraph:
    """Return the processes of a run and what they called."""
    return ProvenanceGraph(nodes=tuple(_graph(tree)))


def process_tree(tree: Called) -> tuple[ProcessStep, ...]:
    """Return the processes of a run with their times."""
    return tuple(_steps(tree, 0))


def dynamics_warnings(run: ProcessNode) -> list[str]:
    """Return what molecular dynamics says of itself, by temperature: steps that are too long, a crystal that melts.

    Of the dynamics that results come from, not of the exploration with unfinished potentials.
    """
    found: dict[str, list[float]] = {}
    for temperature, node in _dynamics_of(run):
        for text in node.outputs.output_parameters.get("warnings", []):
            temperatures = found.setdefault(text, [])
            if temperature not in temperatures:
                temperatures.append(temperature)
    return [
        f"At {', '.join(f'{temperature:g}' for temperature in sorted(temperatures))} K {text}."
        for text, temperatures in found.items()
    ]


def _dynamics_of(run: ProcessNode) -> Iterator[tuple[float, ProcessNode]]:
    """Temperature and node of each run of dynamics that ended well."""
    for child in _called(run):
        if child.process_label == "DynamicsWorkChain":
            if child.is_finished_ok:
                yield child.inputs.settings["temperature"], child
        elif child.process_label == "DiffusionWorkChain":
            yield from _dynamics_of(child)


def versions() -> dict[str, str]:
    """Versions of the packages that numbers come from."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _warnings(run: ProcessNode, settings: dict[str, Any]) -> list[str]:
    lines = []
    if run.exit_status:
        lines.append(run.exit_message)
    if "training" in run.outputs:
        training = run.outputs.training
        if not training["converged"]:
            lines.append(f"The training of the potential was not converged: {training['reason']}.")
        if "active_learning" in run.outputs and not run.outputs.active_learning["converged"]:
            learning = run.outputs.active_learning
            lines.append(
                "The exploration ended before the potential knew all that molecular dynamics meets: "
                f"{learning['reason']}{_broken_runs(learning['rounds'])}."
            )
        if settings["engine"]["name"] == "chgnet":
            lines.append("CHGNet is known to be soft: frequencies and barriers come out low, kappa with them.")
    lines += dynamics_warnings(run)
    if not settings["relax"]["relax_cell"]:
        lines.append("The lattice is the given one; it was not relaxed with the reference engine.")
    lines.append(
        "Only three-phonon scattering; linewidths in the relaxation-time approximation; no long-range charges."
    )
    for label, fit in _items(run.outputs, "fits"):
        if fit.get("snapshots_left_out"):
            left_out = fit["snapshots_left_out"]
            lines.append(
                f"At {label[1:]} K ions hopped: {left_out} of {fit['snapshots'] + left_out} snapshots were left out of "
                "the fit of the force constants, which are those of the crystal between hops."
            )
        if fit["r2_test"] < 0.8:
            lines.append(
                f"At {label[1:]} K the force constants explain {100 * fit['r2_test']:.0f} % of the variance of forces "
                "they were not fitted to: strong anharmonicity beyond third order."
            )
        if not fit.get("convergence_converged", True):
            lines.append(f"At {label[1:]} K the force constants are not converged: {fit['convergence_reason']}.")
    return lines


def _broken_runs(rounds: list[dict[str, Any]]) -> str:
    """Say how many runs of the last round broke, in words that follow a reason."""
    if not rounds:
        return ""
    runs = rounds[-1]["runs"]
    broken = sum(run["broke_at_ps"] is not None for run in runs)
    return f", and {broken} of {len(runs)} runs of the last one broke off" if broken else ""


def temperature_of(label: str) -> float:
    """Temperature in K that a label names: T300, T412_5."""
    return float(label[1:].replace("_", "."))


def _items(outputs: Any, name: str) -> list[tuple[str, Any]]:
    """Label and node of a namespace, by temperature; empty where the run has none."""
    if name not in outputs:
        return []
    return sorted(outputs[name].items(), key=lambda item: temperature_of(item[0]))


def _conductivity(outputs: Any) -> dict[str, np.ndarray] | None:
    """Arrays of all temperatures, one after the other."""
    nodes = [node for _, node in _items(outputs, "conductivity")]
    if not nodes:
        return None
    arrays = {"temperatures": np.concatenate([node.get_array("temperatures") for node in nodes])}
    for name in ("values", "uncertainty"):
        arrays[name] = np.concatenate([node.get_array(name) for node in nodes], axis=1)
    return arrays


def _spectra(outputs: Any) -> list[SpectralData]:
    """Spectra of all temperatures; the force constants of each have frequencies of their own."""
    return [
        spectrum
        for _, node in _items(outputs, "conductivity")
        for spectrum in spectral_data(
            node.get_array("temperatures"), node.get_array("frequencies_thz"), node.get_array("spectra")
        )
    ]


def _first_phonons(outputs: Any) -> dict[str, np.ndarray] | None:
    nodes = _items(outputs, "phonons")
    return nodes[0][1].arrays() if nodes else None


def _motion(run: ProcessNode, outputs: Any, mobile: str | None) -> dict[str, Any]:
    """Collect what moves in all runs at each temperature, and hops of the highest temperature that has any."""
    fitted = {temperature_of(label): node for label, node in _items(outputs, "msd")}
    displacements: list[MsdData] = []
    vibrations: list[VdosData] = []
    hops: HopsData | None = None
    trajectories: dict[float, list[Any]] = {}
    for temperature, node in _dynamics_of(run):
        # As precise as labels are, see `temperature_label`.
        trajectories.setdefault(float(f"{temperature:g}"), []).append(node.outputs.trajectory)
    for temperature in sorted(trajectories, reverse=True):
        with ExitStack() as files:
            runs = [files.enter_context(node.opened()) for node in trajectories[temperature]]
            displacements += [
                record
                for record in msd_data(runs, temperature, mobile)
                if not (record.mobile and temperature in fitted)
            ]
            if (vibration := vdos_data(runs, temperature)) is not None:
                vibrations.append(vibration)
            # Not below the first temperature with hops, as they are rarer there: the search takes seconds.
            if mobile is not None and hops is None:
                hops = hops_data(runs, temperature, mobile)
    if mobile is not None:
        displacements += [_fitted_msd(node, temperature, mobile) for temperature, node in fitted.items()]
    displacements.sort(key=lambda record: (record.temperature, not record.mobile, record.ion))
    return {"msd": displacements, "vdos": vibrations[::-1], "hops": hops}


def _fitted_msd(node: Any, temperature: float, ion: str) -> MsdData:
    window = node.get_array("window_ps")
    return MsdData(
        ion=ion,
        temperature=temperature,
        lags_ps=node.get_array("lags_ps"),
        msd=np.diagonal(node.get_array("msd"), axis1=-2, axis2=-1),
        window_ps=None if np.isnan(window).any() else (float(window[0]), float(window[1])),
    )


def _convergence(outputs: Any) -> list[ConvergenceData]:
    """Fits of all temperatures that were compared with fits to fewer snapshots."""
    records = []
    for label, fit in _items(outputs, "fits"):
        series = fit.get("convergence", {}).get("snapshots")
        if series is not None and len(series["settings"]) > 1:
            records.append(
                ConvergenceData(
                    temperature=temperature_of(label),
                    snapshots=np.array(series["settings"]),
                    force_error_ev_per_angstrom=np.array(series["rmse_test_ev_per_angstrom"]),
                    frequency_change_thz=np.array(series["frequency_change_thz"]),
                    tolerance_thz=series["tolerance_thz"],
                    converged=series["converged"],
                )
            )
    return records


def _parity(outputs: Any) -> ParityData | None:
    if "parity" not in outputs:
        return None
    arrays = outputs.parity.arrays()
    energies = [arrays["energies_train"], arrays.get("energies_validation", np.empty((0, 2)))]
    forces = [arrays["forces_train"], arrays.get("forces_validation", np.empty((0, 2)))]
    all_energies, all_forces = np.concatenate(energies), np.concatenate(forces)
    return ParityData(
        reference_energies=all_energies[:, 0],
        predicted_energies=all_energies[:, 1],
        reference_forces=all_forces[:, 0],
        predicted_forces=all_forces[:, 1],
        test_energies=np.arange(len(all_energies)) >= len(energies[0]),
        test_forces=np.arange(len(all_forces)) >= len(forces[0]),
    )


def _occupation(quantities: list[Any], settings: dict[str, Any]) -> OccupationData | None:
    frequency = next((q.value for q in quantities if q.name == f"average_frequency_{settings['mobile']}"), None)
    energy = next((q.value for q in quantities if q.name == "activation_energy"), None)
    if not frequency or energy is None:
        return None
    temperature = float(min(settings["temperatures"]))
    critical = int(critical_phonon_number(energy, frequency))
    n0 = float(bose_einstein(frequency, temperature))
    n = np.arange(int(max(2 * critical, 6 * n0, 10)) + 1)
    return OccupationData(
        temperature=temperature,
        frequency_thz=frequency,
        n=n,
        probability=occupation_probability(n, frequency, temperature),
        n_critical=critical,
        n0=n0,
    )


def _walk(node: ProcessNode, label: str) -> Called:
    from aiida.common.links import LinkType
    from aiida.orm import WorkflowNode

    children: list[Called] = []
    if isinstance(node, WorkflowNode):
        links = node.base.links.get_outgoing(link_type=(LinkType.CALL_CALC, LinkType.CALL_WORK)).all()
        for link in sorted(links, key=lambda link: link.node.pk):
            # Restart layers call their jobs iteration_01, calcfunctions have no label of their own.
            nameless = link.link_label.startswith("iteration_") or link.link_label == "CALL"
            own = link.node.process_label if nameless else link.link_label.replace("_", " ")
            children.append(_walk(link.node, own))
    return Called(node, label, tuple(children))


def _graph(called: Called) -> Iterator[ProvenanceNode]:
    from aiida.orm import CalcFunctionNode

    node = called.node
    yield ProvenanceNode(
        id=str(node.pk),
        label=called.label,
        kind="calcfunction" if isinstance(node, CalcFunctionNode) else "process",
        text=f"{node.pk}",
        children=tuple(str(child.node.pk) for child in called.children),
        failed=bool(node.is_failed or node.is_excepted),
    )
    for child in called.children:
        yield from _graph(child)


def _steps(called: Called, depth: int) -> Iterator[ProcessStep]:
    node = called.node
    cached = " (from the cache)" if node.base.caching.is_created_from_cache else ""
    seconds = (node.mtime - node.ctime).total_seconds()
    yield ProcessStep(text="  " * depth + f"{called.label} <{node.pk}>{cached}", seconds=seconds)
    for child in called.children:
        yield from _steps(child, depth + 1)


def _called(node: Any) -> list[Any]:
    return sorted(node.called, key=lambda child: child.pk) if hasattr(node, "called") else []
