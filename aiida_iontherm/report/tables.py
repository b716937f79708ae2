"""Results arranged as tables: directions side by side, and beside published values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from aiida_iontherm.physics.quantity import Quantity
from aiida_iontherm.report.format import (
    direction_text,
    format_number,
    format_value,
    label,
    temperature_text,
    unit_text,
    verdict,
)
from aiida_iontherm.report.model import Published

NEAR_K = 50.0
"""Two values are put in a ratio only when their temperatures differ by no more than this, in K."""

METHODS_AT_MOST = 4
"""More methods than this are not listed below a table: each number tells its own."""

_DIRECTION_ORDER = ("x", "y", "z", "average", "")


class Footnotes:
    """Numbered sentences; the same sentence keeps its number."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def number(self, text: str) -> int | None:
        """Return the number of a sentence, from 1; ``None`` for an empty one."""
        if not text:
            return None
        if text not in self.texts:
            self.texts.append(text)
        return self.texts.index(text) + 1


@dataclass(frozen=True)
class Cell:
    """One number of a table with its verdict, the number of its footnote, and how and where it was made."""

    text: str
    verdict: str
    note: int | None
    origin: str


@dataclass(frozen=True)
class Row:
    """One line: temperature (empty where it repeats the line above), what it is, and cells by column."""

    temperature: str
    label: str
    unit: str
    method: str
    cells: tuple[tuple[Cell, ...], ...]


@dataclass(frozen=True)
class Table:
    """Column titles, the unit where all rows share it, rows, and which method stands behind which label."""

    columns: tuple[str, ...]
    unit: str
    rows: tuple[Row, ...]
    methods: tuple[tuple[str, str], ...]


def is_heat(quantity: Quantity) -> bool:
    """Tell whether a result belongs into the table of thermal conductivities."""
    return quantity.name.startswith("kappa")


def is_ionic(quantity: Quantity) -> bool:
    """Tell whether a result belongs into the table of diffusivities and conductivities."""
    return quantity.name.split("_")[0] in ("D", "sigma")


def cell(quantity: Quantity, notes: Footnotes) -> Cell:
    """Return the cell of one result; its reason becomes a footnote."""
    origin = quantity.method + (f" (node {quantity.uuid})" if quantity.uuid else "")
    return Cell(format_value(quantity), verdict(quantity), notes.number(quantity.reason), origin)


def direction_rank(direction: str) -> tuple[int, str]:
    """Return a key that sorts directions as a table shows them: x, y, z, average, none, off-diagonal ones."""
    known = direction in _DIRECTION_ORDER
    return (_DIRECTION_ORDER.index(direction) if known else len(_DIRECTION_ORDER), direction)


def by_direction(quantities: Iterable[Quantity], belongs: Callable[[Quantity], bool], notes: Footnotes) -> Table | None:
    """Arrange results with temperatures and names down, directions across.

    Parameters
    ----------
    quantities
        All results, in the order in which their names shall appear.
    belongs
        Which of them the table holds.
    notes
        Collects the reasons of the verdicts.

    Returns
    -------
    Table or None
        ``None`` where no result belongs into it.
    """
    chosen = [quantity for quantity in quantities if belongs(quantity)]
    if not chosen:
        return None
    directions = sorted({direction_text(quantity.direction) for quantity in chosen}, key=direction_rank)
    order = list(dict.fromkeys((quantity.name, quantity.unit) for quantity in chosen))
    groups: dict[tuple[float | None, tuple[str, str]], list[Quantity]] = {}
    for quantity in chosen:
        groups.setdefault((quantity.temperature, (quantity.name, quantity.unit)), []).append(quantity)

    rows: list[Row] = []
    last_temperature = ""
    coldest_first = sorted(groups, key=lambda group: (group[0] is None, group[0] or 0.0, order.index(group[1])))
    for temperature, (name, unit) in coldest_first:
        text = temperature_text(temperature)
        for method, line in _lines(groups[temperature, (name, unit)]):
            cells = tuple(
                tuple(cell(q, notes) for q in line if direction_text(q.direction) == direction)
                for direction in directions
            )
            shown = "" if text == last_temperature else text
            rows.append(Row(shown, label(name), unit_text(unit), method, cells))
            last_temperature = text
    units = {row.unit for row in rows}
    titles = tuple({"": "not resolved"}.get(direction, direction) for direction in directions)
    return Table(titles, units.pop() if len(units) == 1 else "", tuple(rows), _methods(chosen))


def _lines(alike: Sequence[Quantity]) -> list[tuple[str, list[Quantity]]]:
    """Split results of one name and temperature by method where two share a direction, else keep one line."""
    directions = [direction_text(quantity.direction) for quantity in alike]
    if len(set(directions)) == len(directions):
        # A value along x and a limit along y come from different methods, and still belong side by side.
        return [("", list(alike))]
    methods = dict.fromkeys(quantity.method for quantity in alike)
    return [(method, [quantity for quantity in alike if quantity.method == method]) for method in methods]


def _methods(quantities: Sequence[Quantity]) -> tuple[tuple[str, str], ...]:
    """Join the labels that share a method: (labels, method); empty where there are more than can be read."""
    labels: dict[str, list[str]] = {}
    for quantity in quantities:
        names = labels.setdefault(quantity.method, [])
        if label(quantity.name) not in names:
            names.append(label(quantity.name))
    if len(labels) > METHODS_AT_MOST:
        return ()
    return tuple((", ".join(names), method) for method, names in labels.items())


@dataclass(frozen=True)
class Comparison:
    """One published value and what this run found."""

    label: str
    direction: str
    published: str
    published_temperature: str
    method: str
    source: str
    citation: str
    computed: str
    computed_temperature: str
    verdict: str
    ratio: str
    unit: str


def _plain_unit(unit: str) -> str:
    """Return one spelling for the units that are written in several ways."""
    return unit_text(unit).replace(" ", "")


def _ratio(quantity: Quantity, published: Published) -> str:
    """Return computed over published as text, or why there is none."""
    if quantity.value is None or published.value == 0:
        return "–"
    if _plain_unit(quantity.unit) != _plain_unit(published.unit):
        return "units differ"
    if quantity.temperature is not None and published.temperature_K is None:
        return "temperature not given"
    if quantity.temperature is not None and published.temperature_K is not None:
        apart = _apart(quantity.temperature, published.temperature_K)
        if apart > NEAR_K:
            return f"{apart:.0f} K apart"
    if quantity.bound and published.bound:
        return "both are limits"
    ratio = quantity.value / published.value
    if quantity.bound or published.bound:
        # A published upper limit leaves the ratio open upwards, and the other way round.
        opposite = {"upper": "lower", "lower": "upper"}
        return format_number(ratio, bound=quantity.bound or opposite[str(published.bound)])
    relative = [
        error / abs(number)
        for number, error in ((quantity.value, quantity.uncertainty), (published.value, published.uncertainty))
        if error is not None and number
    ]
    spread = abs(ratio) * sum(part**2 for part in relative) ** 0.5
    return format_number(ratio, spread or None)


def _apart(temperature: float, published: float | tuple[float, float]) -> float:
    """Return the distance in K of a temperature to a published one or to the nearer end of a published range."""
    low, high = published if isinstance(published, tuple) else (published, published)
    return max(low - temperature, temperature - high, 0.0)


def _nearest(quantities: Sequence[Quantity], published: Published) -> list[Quantity]:
    """Return the results of the same name and direction at the temperature nearest to the published one."""
    direction = direction_text(published.direction)
    same = [q for q in quantities if q.name == published.name and direction_text(q.direction) == direction]
    if not same:
        return []
    target = published.temperature_K

    def distance(quantity: Quantity) -> float:
        if quantity.temperature is None or target is None:
            return 0.0
        return _apart(quantity.temperature, target)

    nearest = min(same, key=distance)
    return [quantity for quantity in same if quantity.temperature == nearest.temperature]


def comparisons(quantities: Sequence[Quantity], published: Sequence[Published]) -> list[Comparison]:
    """Join published values with results by name, direction and nearest temperature.

    Parameters
    ----------
    quantities
        The results.
    published
        The published values.

    Returns
    -------
    list of Comparison
        One per published value and matching result (several where several methods gave the same quantity);
        values this run did not compute are kept, with an empty `computed`. A ratio is given only where the
        units agree and the temperatures differ by no more than `NEAR_K`.
    """
    rows = []
    for entry in published:
        common = {
            "label": label(entry.name),
            "direction": direction_text(entry.direction),
            "published": format_number(entry.value, entry.uncertainty, entry.bound),
            "published_temperature": temperature_text(entry.temperature_K),
            "method": entry.method,
            "source": entry.label,
            "citation": entry.citation,
            "unit": unit_text(entry.unit),
        }
        nearest = _nearest(quantities, entry)
        if not nearest:
            rows.append(Comparison(**common, computed="", computed_temperature="", verdict="", ratio="–"))
        for quantity in nearest:
            rows.append(
                Comparison(
                    **common,
                    computed=format_value(quantity),
                    computed_temperature=temperature_text(quantity.temperature),
                    verdict=verdict(quantity),
                    ratio=_ratio(quantity, entry),
                )
            )
    return rows
