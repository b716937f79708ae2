"""The figures of runs with hops, from one record."""

from __future__ import annotations

from dataclasses import replace

from matplotlib.figure import Figure

from aiida_iontherm.report.figures.caption import Caption
from aiida_iontherm.report.figures.free_energy import describe_free_energy, free_energy_maps
from aiida_iontherm.report.figures.van_hove import describe_van_hove, van_hove_functions
from aiida_iontherm.report.format import format_number
from aiida_iontherm.report.model import HopsData
from aiida_iontherm.report.style import Columns


def hops_free_energy(data: HopsData) -> tuple[Figure, Columns]:
    """Draw the free energy, see `free_energy_maps`."""
    return free_energy_maps(data.density, data.temperature, data.ion, data.sites)


def hops_van_hove(data: HopsData) -> tuple[Figure, Columns]:
    """Draw the van Hove functions, see `van_hove_functions`."""
    return van_hove_functions(data.correlations, data.ion)


def describe_hops_free_energy(data: HopsData) -> Caption:
    """Say what the maps show, and how many hops they come from."""
    caption = describe_free_energy(data.density, data.temperature, data.ion)
    seen = "1 hop was" if data.hops == 1 else f"{data.hops} hops were"
    text = f"{caption.text} {seen} seen between {len(data.sites)} sites{_in_runs(data)}"
    if data.residence is not None and data.residence.residence_ps is not None:
        stay = format_number(data.residence.residence_ps, data.residence.uncertainty_ps)
        text += f"; ions stay for {stay} ps"
    return replace(caption, text=f"{text}.")


def describe_hops_van_hove(data: HopsData) -> Caption:
    """Say what the curves show, and at which temperature."""
    caption = describe_van_hove(data.correlations, data.ion)
    return replace(caption, text=f"At {data.temperature:g} K{_in_runs(data)}. {caption.text}")


def _in_runs(data: HopsData) -> str:
    """Say how much was looked at, where it is more than one run."""
    return "" if data.runs == 1 else f", in {data.runs} runs of together {data.duration_ps:.4g} ps"
