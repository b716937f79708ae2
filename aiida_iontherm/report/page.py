"""The HTML page: everything in one file, nothing fetched."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from aiida_iontherm.physics.quantity import Quantity
from aiida_iontherm.report.figures.caption import Caption
from aiida_iontherm.report.format import (
    direction_text,
    format_quantity,
    label,
    results_table,
    temperature_text,
    unit_text,
    verdict,
)
from aiida_iontherm.report.model import Published, ReportInput
from aiida_iontherm.report.tables import (
    NEAR_K,
    Footnotes,
    by_direction,
    cell,
    comparisons,
    direction_rank,
    is_heat,
    is_ionic,
)

ROOM_TEMPERATURE_K = 300.0
MARKS = {"converged": "✓", "limit": "✓", "not converged": "✗", "no value": "✗"}
_SETTING_UNITS = {"angstrom": "Å", "thz": "THz", "fs": "fs", "ps": "ps", "k": "K", "ev": "eV", "gpa": "GPa", "s": "s"}
_DOI = re.compile(r"\b(?:https?://(?:dx\.)?doi\.org/|doi:\s*)?(10\.\d{4,9}/[^\s,;()]*[^\s,;().])", re.IGNORECASE)


@dataclass(frozen=True)
class PageFigure:
    """A figure on the page: file name, its picture as a data address and its words."""

    name: str
    image: str
    caption: Caption


@dataclass(frozen=True)
class AbsentFigure:
    """A figure that is left out, and why."""

    name: str
    reason: str


def formula_html(formula: str) -> Markup:
    """Return a formula with its numbers as subscripts: ``CsCu2I3`` -> CsCu<sub>2</sub>I<sub>3</sub>."""
    return Markup(re.sub(r"(?<=[A-Za-z)\]])(\d+(?:\.\d+)?)", r"<sub>\1</sub>", str(escape(formula))))  # noqa: S704


def title_html(title: str, formula: str) -> Markup:
    """Return a title in which the formula stands with its subscripts."""
    return Markup(str(escape(title)).replace(str(escape(formula)), str(formula_html(formula))))  # noqa: S704


def linked(text: str) -> Markup:
    """Return a citation as HTML with its DOI as a link."""
    safe = str(escape(text))
    return Markup(_DOI.sub(r'<a href="https://doi.org/\1">\g<0></a>', safe))  # noqa: S704


def flat_settings(settings: Mapping[str, Any], depth: int = 0) -> Iterator[tuple[int, str, str]]:
    """Yield nested settings as lines: depth, name, value as text (empty above a nested group)."""
    for name, value in settings.items():
        words = _setting_name(str(name))
        if isinstance(value, Mapping):
            yield depth, words, ""
            yield from flat_settings(value, depth + 1)
        else:
            yield depth, words, _setting_text(value)


def _setting_name(name: str) -> str:
    """Return a setting's name in words, the unit it ends with in brackets."""
    stem, _, ending = name.rpartition("_")
    unit = _SETTING_UNITS.get(ending.lower()) if stem else None
    if unit and stem.endswith("_per"):
        stem, unit = stem.removesuffix("_per"), f"1/{unit}"
    return f"{stem} ({unit})".replace("_", " ") if unit else name.replace("_", " ")


def _setting_text(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        joint = " × " if len(value) == 3 and all(isinstance(item, int) for item in value) else ", "
        return joint.join(_setting_text(item) for item in value)
    return str(value)


def duration(seconds: float | None) -> str:
    """Return a time as people write it: ``0.4 s``, ``2 min 05 s``, ``3 h 12 min``."""
    if seconds is None:
        return ""
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def verdict_counts(quantities: Sequence[Quantity]) -> dict[str, int]:
    """Return how many results have each verdict."""
    counts = dict.fromkeys(MARKS, 0)
    for quantity in quantities:
        counts[verdict(quantity)] += 1
    return counts


def verdict_sentence(quantities: Sequence[Quantity]) -> str:
    """Return the verdicts of all results in one sentence."""
    if not quantities:
        return "This run gave no results."
    counts = verdict_counts(quantities)
    good = counts["converged"] + counts["limit"]
    parts = [f"{good} of {len(quantities)} results converged"]
    if counts["limit"]:
        parts[0] += f" ({counts['limit']} as a limit)"
    if counts["not converged"]:
        parts.append(f"{counts['not converged']} did not converge")
    if counts["no value"]:
        parts.append(f"{counts['no value']} could not be determined")
    return "; ".join(parts) + "."


@dataclass(frozen=True)
class Headline:
    """One of the few numbers at the top of the page."""

    label: str
    entries: tuple[tuple[str, str, str], ...]
    """Direction, value with unit, verdict."""


def headlines(quantities: Sequence[Quantity]) -> list[Headline]:
    """Pick total kappa nearest room temperature, diffusivities at the highest temperature, activation energies."""
    picked = []
    for name in dict.fromkeys(quantity.name for quantity in quantities):
        same = [quantity for quantity in quantities if quantity.name == name]
        temperatures = [quantity.temperature for quantity in same if quantity.temperature is not None]
        if name == "kappa_total" and temperatures:
            target = min(temperatures, key=lambda temperature: abs(temperature - ROOM_TEMPERATURE_K))
        elif name.startswith("D_") and temperatures:
            target = max(temperatures)
        elif name.startswith(("E_A", "activation_energy")):
            target = None
        else:
            continue
        chosen = [quantity for quantity in same if target is None or quantity.temperature == target]
        chosen.sort(key=lambda quantity: direction_rank(direction_text(quantity.direction)))
        title = label(name) + (f", {temperature_text(target)}" if target is not None else "")
        entries = tuple((direction_text(q.direction), unit_text(format_quantity(q)), verdict(q)) for q in chosen)
        picked.append(Headline(title, entries))
    return picked


def _citations(data: ReportInput, published: Sequence[Published]) -> Footnotes:
    """Return the sources, numbered in the order of the results and then of the published values."""
    sources = Footnotes()
    for text in [*(q.citation for q in data.quantities), *(entry.citation for entry in published)]:
        sources.number(text or "")
    return sources


def render(data: ReportInput, figures: Sequence[PageFigure], absent: Sequence[AbsentFigure]) -> str:
    """Return the page as HTML text.

    Parameters
    ----------
    data
        What the report is made of.
    figures, absent
        Figures that were drawn, and those that were left out.

    Returns
    -------
    str
        One self-contained HTML document.
    """
    environment = Environment(
        loader=PackageLoader("aiida_iontherm.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(formula=formula_html, linked=linked, duration=duration, unit=unit_text)
    published = [Published.from_entry(entry) for entry in data.published]
    sources = _citations(data, published)
    notes = Footnotes()
    heat = by_direction(data.quantities, is_heat, notes)
    ionic = by_direction(data.quantities, is_ionic, notes)
    others = [q for q in data.quantities if not is_heat(q) and not is_ionic(q)]
    other_rows = list(zip(results_table(others), [cell(q, notes) for q in others], strict=True))
    comparison_rows = [(row, sources.number(row.citation)) for row in comparisons(data.quantities, published)]
    timed = [step.seconds for step in data.process_tree if step.seconds is not None]
    return environment.get_template("report.html.j2").render(
        data=data,
        heading=title_html(data.title, data.formula),
        marks=MARKS,
        sentence=verdict_sentence(data.quantities),
        counts=verdict_counts(data.quantities),
        headlines=headlines(data.quantities),
        tables=[table for table in (heat, ionic) if table is not None],
        others=other_rows,
        notes=notes.texts,
        all_rows=results_table(data.quantities),
        comparisons=comparison_rows,
        sources=sources.texts,
        figures=[figure for figure in figures if figure.name != "provenance"],
        provenance=next((figure for figure in figures if figure.name == "provenance"), None),
        absent=absent,
        settings=list(flat_settings(data.settings)),
        longest=max(timed, default=0.0),
        near_k=NEAR_K,
    )
