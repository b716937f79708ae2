"""The provenance of the results, drawn as an indented tree."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from matplotlib.figure import Figure

from aiida_iontherm.report.figures.caption import Caption
from aiida_iontherm.report.model import ProvenanceGraph, ProvenanceNode
from aiida_iontherm.report.style import ACCENT, FAILED, INK, PARTICLE, QUIET, WIDTH_IN, Columns

ROWS_AT_MOST = 200
"""Longer trees are cut in the picture; the CSV file has every node."""

_ROW_IN = 0.235
_INDENT_IN = 0.26
_LOOKS = {
    "process": ("s", PARTICLE, "process"),
    "calcfunction": ("D", "#AA4499", "calcfunction"),
    "data": ("o", ACCENT, "data"),
}


@dataclass(frozen=True)
class _Line:
    """One line of the tree: node, depth, line number of the parent, how many alike, whether shown before."""

    node: ProvenanceNode
    depth: int
    parent: int | None
    count: int = 1
    again: bool = False


def _roots(graph: ProvenanceGraph) -> list[ProvenanceNode]:
    named = {child for node in graph.nodes for child in node.children}
    return [node for node in graph.nodes if node.id not in named]


def _alike(nodes: list[ProvenanceNode]) -> Iterator[tuple[ProvenanceNode, int]]:
    """Join childless siblings of the same label, kind and state; a node is yielded with how many it stands for."""
    counts: dict[tuple[str, str, str, bool], int] = {}
    for node in nodes:
        if not node.children:
            key = (node.label, node.kind, node.text, node.failed)
            counts[key] = counts.get(key, 0) + 1
    for node in nodes:
        if node.children:
            yield node, 1
        else:
            # pop: the first of them stands for all.
            count = counts.pop((node.label, node.kind, node.text, node.failed), 0)
            if count:
                yield node, count


def _lines(graph: ProvenanceGraph) -> list[_Line]:
    """Return the tree depth first; a node reached a second time is named again without its children."""
    by_id = {node.id: node for node in graph.nodes}
    lines: list[_Line] = []
    seen: set[str] = set()

    def visit(nodes: list[ProvenanceNode], depth: int, parent: int | None) -> None:
        for node, count in _alike(nodes):
            again = node.id in seen
            seen.add(node.id)
            lines.append(_Line(node, depth, parent, count, again))
            if not again:
                visit([by_id[child] for child in node.children], depth + 1, len(lines) - 1)

    roots = _roots(graph)
    if not roots:
        raise ValueError("the provenance graph has no root: every node is the child of another one")
    visit(roots, 0, None)
    return lines


def provenance(data: ProvenanceGraph) -> tuple[Figure, Columns]:
    """Draw processes and data as an indented tree, one line each.

    Parameters
    ----------
    data
        Nodes with their children; a node with several parents is drawn below the first and named at the others.

    Returns
    -------
    Figure, dict
        The tree (cut after `ROWS_AT_MOST` lines) and one CSV row per node.

    Raises
    ------
    ValueError
        If no node is a root.
    """
    lines = _lines(data)
    shown = lines[:ROWS_AT_MOST]
    rows = len(shown) + (len(lines) > len(shown))
    height = _ROW_IN * (rows + 1.6)
    figure = Figure(figsize=(WIDTH_IN, height))
    # Axes in inches from the upper left corner: text and symbols keep their size whatever the length of the tree.
    ax = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    ax.set(xlim=(0, WIDTH_IN), ylim=(height, 0))
    ax.axis("off")

    for index, (marker, colour, name) in enumerate(_LOOKS.values()):
        ax.plot(0.14 + 1.25 * index, 0.7 * _ROW_IN, marker=marker, color=colour, markersize=6)
        ax.text(0.28 + 1.25 * index, 0.7 * _ROW_IN, name, va="center", fontsize=8.5, color=INK)

    def place(number: int) -> tuple[float, float]:
        return 0.14 + _INDENT_IN * shown[number].depth, _ROW_IN * (number + 2.1)

    for number, line in enumerate(shown):
        x, y = place(number)
        if line.parent is not None:
            parent_x, parent_y = place(line.parent)
            ax.plot([parent_x, parent_x, x], [parent_y, y, y], color="#C4C4C0", linewidth=0.9, zorder=1)
        marker, colour, _ = _LOOKS[line.node.kind]
        face = "white" if line.again else colour
        ax.plot(x, y, marker=marker, markersize=6.5, color=colour, markerfacecolor=face, zorder=3)
        label = line.node.label + (f"  × {line.count}" if line.count > 1 else "") + (" (see above)" * line.again)
        weight = "bold" if line.node.kind == "process" else "normal"
        ax.text(x + 0.14, y, label, va="center", fontsize=8.5, color=INK, weight=weight)
        state = line.node.text if not line.again else ""
        ax.text(
            WIDTH_IN - 0.08,
            y,
            state,
            va="center",
            ha="right",
            fontsize=8,
            color=FAILED if line.node.failed else QUIET,
        )
    if len(lines) > len(shown):
        text = f"… and {len(lines) - len(shown)} more lines, listed in data/provenance.csv"
        ax.text(0.14, _ROW_IN * (len(shown) + 2.1), text, va="center", fontsize=8.5, color=QUIET)
    return figure, {
        "id": [node.id for node in data.nodes],
        "label": [node.label for node in data.nodes],
        "kind": [node.kind for node in data.nodes],
        "state": [node.text for node in data.nodes],
        "failed": [node.failed for node in data.nodes],
        "children": [" ".join(node.children) for node in data.nodes],
    }


def describe_provenance(data: ProvenanceGraph) -> Caption:
    """Say what the provenance tree shows."""
    kinds = {kind: sum(node.kind == kind for node in data.nodes) for kind in _LOOKS}
    failed = sum(node.failed for node in data.nodes)
    text = (
        f"The processes that made these results and the data they passed on: {kinds['process']} processes, "
        f"{kinds['calcfunction']} calcfunctions, {kinds['data']} data nodes. Each line hangs below the one that made "
        "it; × counts steps that are alike; an open symbol is drawn in full above."
    )
    text += f" {failed} ended in an error (red)." if failed else " None ended in an error."
    root = _roots(data)[0].label
    return Caption("From the inputs to the results", text, f"Tree of {len(data.nodes)} nodes that starts at {root}.")
