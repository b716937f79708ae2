"""Write a report: the page, its figures, and the numbers behind both."""

from __future__ import annotations

import base64
import csv
import io
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from aiida_iontherm.physics.quantity import Quantity
from aiida_iontherm.report.figures import FIGURES
from aiida_iontherm.report.model import Published, ReportInput
from aiida_iontherm.report.page import AbsentFigure, PageFigure, render
from aiida_iontherm.report.style import Columns, style

PNG_DPI = 200
SCHEMA = 1
"""Version of the layout of results.json."""

# Without dates the same input gives the same files.
_METADATA: dict[str, dict[str, Any]] = {
    "svg": {"Date": None},
    "pdf": {"CreationDate": None},
    "png": {"Software": None},
}


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file under a temporary name beside it, then rename: a reader never sees half of it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _saved(figure: Figure, kind: str) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind, dpi=PNG_DPI, metadata=_METADATA[kind], facecolor="white")
    return buffer.getvalue()


def _csv(header: Sequence[str], rows: Any) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue().encode()


def _columns_csv(columns: Columns) -> bytes:
    # tolist() gives Python numbers, which csv writes with all their digits.
    return _csv(list(columns), zip(*(np.asarray(values).tolist() for values in columns.values()), strict=True))


def _results_csv(quantities: Sequence[Quantity]) -> bytes:
    names = [field.name for field in fields(Quantity)]
    return _csv(names, ([getattr(quantity, name) for name in names] for quantity in quantities))


def _results_json(data: ReportInput) -> bytes:
    record = {
        "schema": SCHEMA,
        "title": data.title,
        "formula": data.formula,
        "structure_source": data.structure_source,
        "structure_trust": data.structure_trust,
        "protocol": data.protocol,
        "protocol_note": data.protocol_note,
        "created": data.created,
        "package_versions": dict(data.package_versions),
        "settings": data.settings,
        "warnings": list(data.warnings),
        "quantities": [quantity.to_dict() for quantity in data.quantities],
        "published": [asdict(Published.from_entry(entry)) for entry in data.published],
    }
    # NaN is not JSON: refuse it here rather than write a file that other programs cannot read.
    return json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False).encode()


def write_report(data: ReportInput, folder: Path) -> Path:
    """Write the report of one run.

    Parameters
    ----------
    data
        What the report is made of.
    folder
        Where to write; made if it is not there. Files of an earlier report are replaced, and its figures that
        this run does not have are removed.

    Returns
    -------
    Path
        ``report.html``. Beside it: ``figures/<name>.png`` and ``.pdf``, ``data/<name>.csv``, ``results.json`` and
        ``results.csv``.

    Raises
    ------
    ValueError
        If `data.absent` names a figure that does not exist, or the records cannot be written as JSON.
    """
    unknown = set(data.absent) - {kind.name for kind in FIGURES}
    if unknown:
        names = ", ".join(kind.name for kind in FIGURES)
        raise ValueError(f"no figure is called {', '.join(sorted(unknown))}; the figures are {names}")
    results_json = _results_json(data)
    picture_folder, data_folder = folder / "figures", folder / "data"
    picture_folder.mkdir(parents=True, exist_ok=True)
    data_folder.mkdir(exist_ok=True)

    drawn: list[PageFigure] = []
    absent: list[AbsentFigure] = []
    for kind in FIGURES:
        paths = {ending: picture_folder / f"{kind.name}.{ending}" for ending in ("png", "pdf")}
        table = data_folder / f"{kind.name}.csv"
        record = getattr(data, kind.field)
        if record is None or (isinstance(record, Sequence) and not record):
            if data.about in kind.about:
                absent.append(AbsentFigure(kind.name, data.absent.get(kind.name, kind.absent)))
            for path in (*paths.values(), table):
                path.unlink(missing_ok=True)
            continue
        with style(salt=kind.name):
            figure, columns = kind.draw(record)
            for ending, path in paths.items():
                write_atomically(path, _saved(figure, ending))
                # The layout found for the first format serves the others: same picture, half the time.
                figure.set_layout_engine("none")
            picture = base64.b64encode(_saved(figure, "svg")).decode()
        write_atomically(table, _columns_csv(columns))
        drawn.append(PageFigure(kind.name, f"data:image/svg+xml;base64,{picture}", kind.describe(record)))

    write_atomically(folder / "results.json", results_json)
    write_atomically(folder / "results.csv", _results_csv(data.quantities))
    page = folder / "report.html"
    write_atomically(page, render(data, drawn, absent).encode())
    return page
