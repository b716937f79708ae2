"""The calcfunctions: each wraps a pure function of `physics` in a few lines, so that provenance holds the analysis."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from aiida.engine import calcfunction
from aiida.orm import ArrayData, Dict, Str, StructureData

from aiida_iontherm.data import (
    ConfigurationsData,
    PhononsData,
    PotentialData,
    ResultData,
)
from aiida_iontherm.physics.heat import temperature_exponent
from aiida_iontherm.physics.ions import (
    occupation_analysis,
)
from aiida_iontherm.physics.ions.activation import activation_energy
from aiida_iontherm.physics.lattice.cells import displaced_supercells
from aiida_iontherm.physics.lattice.estimate import (
    carrier_quantities,
    conductivity_quantities,
    estimate_conductivity,
)
from aiida_iontherm.physics.mtp import Configuration, evaluate_errors
from aiida_iontherm.physics.quantity import Quantity

MAX_RELATIVE_FORCE_ERROR = 0.15
"""A potential whose forces are off by more describes another material."""


def array_data(**arrays: Any) -> ArrayData:
    """Make an ArrayData of named arrays."""
    node = ArrayData()
    for name, array in arrays.items():
        node.set_array(name, np.asarray(array, dtype=float))
    return node


@calcfunction
def sample_snapshots(settings: Dict, **snapshots: ConfigurationsData) -> ConfigurationsData:
    """Take `count` snapshots at equal intervals from all runs, one after the other in the order of their names."""
    frames = [atoms for name in sorted(snapshots) for atoms in snapshots[name].frames()]
    # The first one is left out: there a run has not left the crystal yet.
    positions = np.unique(np.linspace(0, len(frames) - 1, int(settings["count"]) + 1).round().astype(int)[1:])
    return ConfigurationsData.from_frames([frames[index] for index in positions])


@calcfunction
def displace_atoms(structure: StructureData, settings: Dict) -> ConfigurationsData:
    """Make `count` copies of a `supercell` with each atom moved by `distance` (Angstrom) in a random direction."""
    frames = displaced_supercells(
        structure.get_ase(), settings["supercell"], settings["count"], settings["distance"], settings["seed"]
    )
    return ConfigurationsData.from_frames(frames)


@calcfunction
def check_potential(potential: PotentialData, configurations: ConfigurationsData, part: Dict | None = None) -> Dict:
    """Errors of a potential on labelled configurations it has not been trained on, or on `count` from `first` on."""
    frames = configurations.frames()
    if part is not None:
        frames = frames[part["first"] : part["first"] + part["count"]]
    errors = evaluate_errors(potential.potential(), [Configuration.from_atoms(atoms) for atoms in frames])
    return Dict(
        {
            "configurations": len(errors.energies),
            "energy_rmse_ev_per_atom": errors.energy_rmse,
            "force_rmse_ev_per_angstrom": errors.force_rmse,
            "force_rms_ev_per_angstrom": float(np.sqrt(np.mean(errors.forces[:, 0] ** 2))),
        }
    )


@calcfunction
def judge_potential(training: Dict, active_learning: Dict | None = None) -> ResultData:
    """Record how well a potential predicts forces it was not trained on: the ground every other number stands on.

    Small errors on configurations like those of the training set are not enough: where the exploration ended while it
    still met unknown ones, the potential is not converged.
    """
    errors, where = training["validation"], "held-out configurations"
    if errors is None:
        errors, where = training["train"], "the training set itself"
    error = errors["force_rmse_ev_per_angstrom"]
    relative = error / errors["force_rms_ev_per_angstrom"]
    reasons = [f"{100 * relative:.0f} % of the forces of {where}"]
    explored = active_learning is None or active_learning["converged"]
    if not explored:
        reasons.append(f"exploration ended early: {active_learning['reason']}")
    return ResultData(
        [
            Quantity(
                name="potential_force_error",
                value=error,
                unit="eV/Angstrom",
                method=f"root mean square error per component on {where}",
                converged=relative <= MAX_RELATIVE_FORCE_ERROR and training["validation"] is not None and explored,
                reason="; ".join(reasons),
            )
        ]
    )


@calcfunction
def merge_configurations(**sets: ConfigurationsData) -> ConfigurationsData:
    """Join labelled sets in the order of their names."""
    text = "".join(sets[name].get_content() for name in sorted(sets))
    return ConfigurationsData(io.BytesIO(text.encode()), filename="labelled.extxyz")


@calcfunction
def two_channel_conductivity(
    phonons: PhononsData,
    fit: Dict | None = None,
    solution: Dict | None = None,
    caveat: Str | None = None,
    origin: Str | None = None,
) -> dict[str, Any]:
    """Particle-like and wave-like conductivity, Eqs. 4 and 5 of doi 10.1002/adma.202513381, with error bars.

    With them come the regimes of the modes, the mean frequency of the wave channel and the species' parts. The figures
    of the fit of the force constants and the results of the task ``lattice-conductivity`` go into verdicts and words.
    A caveat, where there is one, is a reason why the numbers cannot count as converged. The origin says in words where
    the force constants come from.
    """
    estimate = estimate_conductivity(phonons.arrays())
    figures = {} if fit is None else fit.get_dict()
    caveats = [] if caveat is None else [caveat.value]
    if not figures.get("convergence_converged", True):
        caveats.append(f"the force constants are not converged: {figures['convergence_reason']}")
    force_constants = "effective force constants at temperature from MD" if origin is None else origin.value
    linewidths = "three-phonon linewidths (RTA)" if solution is None else solution["linewidths"]
    method = f"two-channel sum, {force_constants}, {linewidths}"
    judged = (estimate, figures.get("r2_test"), method, "; ".join(caveats))
    return {
        "result": ResultData(conductivity_quantities(*judged) + carrier_quantities(*judged)),
        "conductivity": array_data(
            temperatures=estimate.temperatures,
            values=estimate.values,
            statistical=estimate.statistical,
            mesh_change=estimate.mesh_change,
            uncertainty=estimate.uncertainty,
            frequencies_thz=estimate.frequencies_thz,
            spectra=estimate.spectra,
        ),
    }


@calcfunction
def analyse_occupation(diffusivities: ResultData, phonons: Dict, settings: Dict) -> ResultData:
    """Activation energy, mobile fraction and critical phonon number, Eqs. 2 and 3 of Bernges et al."""
    frequency = phonons["average_mobile_frequency_thz"]
    energy = activation_energy(diffusivities.quantities, frequency)
    quantities = [energy, mobile_frequency(frequency, settings["ion"], phonons)]
    for temperature in settings["temperatures"]:
        quantities += occupation_analysis(
            energy.value or 0.0,
            energy.uncertainty,
            frequency,
            temperature,
            energy.bound,
            converged=energy.converged,
            reason=energy.reason,
        )
    return ResultData(quantities)


def mobile_frequency(frequency: float, ion: str, phonons: Dict) -> Quantity:
    """Record of the mean vibrational frequency of the mobile ion."""
    imaginary = phonons["imaginary_weight"]
    return Quantity(
        name=f"average_frequency_{ion}",
        value=frequency,
        unit="THz",
        method=f"mean over modes weighted with the share of {ion}",
        converged=imaginary < 0.01,
        reason="" if imaginary < 0.01 else f"{100 * imaginary:.1f} % of the modes are imaginary and were left out",
    )


@calcfunction
def conductivity_exponents(**conductivities: ResultData) -> ResultData:
    """Exponent n of kappa ~ T^n along each axis, from conductivities at several temperatures."""
    records = [q for name in sorted(conductivities) for q in conductivities[name].quantities]
    quantities = []
    for direction in ("x", "y", "z", "average"):
        totals = [
            q for q in records if q.name == "kappa_total" and q.direction == direction and q.value and q.value > 0
        ]
        if len({q.temperature for q in totals}) < 2:
            quantities.append(
                Quantity(
                    name="kappa_exponent",
                    value=None,
                    unit="1",
                    method="kappa_total ~ T^n",
                    converged=False,
                    reason="fewer than two temperatures have a positive kappa in this direction",
                    direction=direction,
                )
            )
            continue
        fit = temperature_exponent(
            [q.temperature for q in totals], [q.value for q in totals], [q.uncertainty for q in totals]
        )
        doubtful = [f"{q.temperature:.0f} K" for q in totals if not q.converged]
        reason = fit.reason if not doubtful else f"kappa is not converged at {', '.join(doubtful)}"
        quantities.append(
            Quantity(
                name="kappa_exponent",
                value=fit.exponent,
                unit="1",
                uncertainty=fit.uncertainty,
                method=f"kappa_total ~ T^n between {totals[0].temperature:.0f} and {totals[-1].temperature:.0f} K",
                converged=fit.converged and not doubtful,
                reason=reason,
                direction=direction,
            )
        )
    return ResultData(quantities)


@calcfunction
def missing_conductivity(reason: Str, settings: Dict) -> ResultData:
    """Record that a conductivity could not be computed, and why: a reader must not wonder."""
    return ResultData(
        [
            Quantity(
                name="kappa_total",
                value=None,
                unit="W/(m K)",
                method="two-channel sum",
                converged=False,
                reason=reason.value,
                temperature=settings["temperature"],
                direction="average",
            )
        ]
    )


@calcfunction
def collect_results(**parts: ResultData) -> ResultData:
    """Join the records of all analyses into the result of one compound; each keeps the node it came from."""
    return ResultData([quantity for name in sorted(parts) for quantity in parts[name].quantities])
