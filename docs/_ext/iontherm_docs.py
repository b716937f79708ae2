"""Directives that render the package itself: what they print is read from the code at build time and stays true."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import entry_points
from typing import Any, ClassVar

from docutils import nodes
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

PROTOCOLS = ("demo", "fast", "balanced", "precise")


def table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Return a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(_cell(value) for value in line) + " |" for line in lines) + "\n"


def _cell(value: Any) -> str:
    # An asterisk is a product, a bar a modulus, a dollar nothing: the texts of the code are not Markdown.
    return re.sub(r"([|*$])", r"\\\1", " ".join(str(value).split()))


def code(value: Any) -> str:
    """Return a value as inline code."""
    return f"`{value}`"


def first_paragraph(thing: Any) -> str:
    """First paragraph of a docstring on one line."""
    return " ".join((inspect.getdoc(thing) or "").split("\n\n")[0].split())


def points(group: str) -> list[Any]:
    """Entry points of this package in a group."""
    return sorted((p for p in entry_points(group=group) if p.value.startswith("aiida_iontherm")), key=lambda p: p.name)


def commands() -> str:
    """Help texts of `iontherm`, `iontherm-task` and `verdi data iontherm`."""
    from aiida_iontherm.cli import main
    from aiida_iontherm.cli.data import data_iontherm

    return "\n".join([_help(main, "iontherm", 2), _help(data_iontherm, "verdi data iontherm", 2)])


def _help(command: Any, path: str, level: int) -> str:
    import click

    # One context without its parent's name, so that the usage line shows the path once.
    context = click.Context(command, info_name=path, max_content_width=100, terminal_width=100)
    text = f"{'#' * level} {path}\n\n```text\n{command.get_help(context)}\n```\n\n"
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            if child is not None:
                text += _help(child, f"{path} {name}", min(level + 1, 4))
    return text


def settings() -> str:
    """Sections and keys of a protocol with the values of the four protocols."""
    from aiida_iontherm.workchains.protocols import load_protocol
    from aiida_iontherm.workchains.settings import Settings

    values = {name: load_protocol(name).model_dump(mode="json") for name in PROTOCOLS}
    plain, text = [], ""
    for key, field in Settings.model_fields.items():
        if not (isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)):
            plain.append(_setting(key, field, [values[name][key] for name in PROTOCOLS if key != "description"]))
            continue
        rows = [
            _setting(f"{key}.{inner}", inner_field, [values[name][key][inner] for name in PROTOCOLS])
            for inner, inner_field in field.annotation.model_fields.items()
        ]
        text += f"## {key}\n\n{first_paragraph(field.annotation)}\n\n{table(['key', 'meaning', *PROTOCOLS], rows)}\n"
    return f"## Whole run\n\n{table(['key', 'meaning', *PROTOCOLS], plain)}\n{text}"


def _setting(key: str, field: FieldInfo, values: list[Any]) -> list[str]:
    return [code(key), _meaning(field), *([code(value) for value in values] or [""] * len(PROTOCOLS))]


def _meaning(field: FieldInfo) -> str:
    limits = []
    for constraint in field.metadata:
        for name, sign in (("gt", ">"), ("ge", "≥"), ("lt", "<"), ("le", "≤")):
            if getattr(constraint, name, None) is not None:
                limits.append(f"{sign} {getattr(constraint, name):g}")
    text = field.description or _type(field.annotation)
    return f"{text.removesuffix('.')}, {', '.join(limits)}" if limits else text


def _type(annotation: Any) -> str:
    text = annotation.__name__ if type(annotation) is type else str(annotation).replace("typing.", "")
    return code(re.sub(r"Annotated\[(\w+), [^\]]*\]", r"\1", text))


def tasks() -> str:
    """Keys of `input.json` of each task."""
    from aiida_iontherm.tasks.contract import TaskInput
    from aiida_iontherm.tasks.registry import TASKS

    text = f"## All tasks\n\n{table(HEADER, _keys(TaskInput, ''))}\n"
    for name, (module_name, summary) in TASKS.items():
        module = importlib.import_module(module_name)
        rows = [row for row in _keys(module.Input, "") if row[0] not in map(code, TaskInput.model_fields)]
        text += (
            f"## {name}\n\n{summary[0].upper()}{summary[1:]}. {first_paragraph(module.run)}\n\n{table(HEADER, rows)}\n"
        )
    return text


HEADER = ("key", "meaning", "default")


def _keys(model: type[BaseModel], prefix: str) -> list[list[str]]:
    rows = []
    for key, field in model.model_fields.items():
        inner = _model_of(field.annotation)
        if inner is not None:
            rows.append([code(prefix + key), first_paragraph(inner), "see below"])
            rows += _keys(inner, f"{prefix}{key}.")
            continue
        default = "required" if field.is_required() else code(field.get_default(call_default_factory=True))
        rows.append([code(prefix + key), _meaning(field), default])
    return rows


def _model_of(annotation: Any) -> type[BaseModel] | None:
    candidates = (annotation, *getattr(annotation, "__args__", ()))
    return next((c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)), None)


def materials() -> str:
    """Tiers of trust and the table of compounds."""
    from aiida_iontherm.materials.table import Tier, load_table

    text = "## Tiers of trust\n\nBest first.\n\n" + table(
        ("tier", "what it means", "entries"),
        [(code(t.value), t.sentence, sum(c.tier is t for c in load_table())) for t in Tier],
    )
    for family in sorted({c.family for c in load_table()}):
        rows = [
            (
                c.formula,
                code(c.id),
                ", ".join(c.mobile) or "none",
                c.space_group,
                "calculated" if c.temperature_K == 0 else f"{c.temperature_K:g} K",
                code(c.tier.value),
                "" if c.ordered else "partly occupied",
                _linked(c.citation),
            )
            for c in sorted((c for c in load_table() if c.family == family), key=lambda c: (c.formula, c.tier.rank))
        ]
        header = ("formula", "id", "mobile", "space group", "temperature", "tier", "order", "source")
        text += f"\n## {family.capitalize()}\n\n{table(header, rows)}"
    return text


def _linked(citation: str) -> str:
    citation = re.sub(r"(?<![/\w])(10\.\d{4,}/[^\s;,]+)", r"[\1](https://doi.org/\1)", citation)
    return re.sub(r"(?<!\()(https?://(?!doi)[^\s;,)]+)", r"<\1>", citation)


def published() -> str:
    """Tabulate the published values by compound."""
    from aiida_iontherm.materials.table import load_table, published

    text = ""
    for formula in sorted({c.formula for c in load_table()}):
        rows = []
        for v in published(formula):
            t = v.temperature_K
            kelvin = "" if t is None else f"{t[0]:g} to {t[1]:g} K" if isinstance(t, tuple) else f"{t:g} K"
            error = "" if v.uncertainty is None else f" ± {v.uncertainty:g}"
            source = _linked(v.citation) + (f" ({v.note})" if v.note else "")
            rows.append((v.label, kelvin, f"{v.value:g}{error}", v.unit, v.method, v.confidence, source))
        if rows:
            header = ("quantity", "T", "value", "unit", "method", "confidence", "source and notes")
            text += f"## {formula}\n\n{table(header, rows)}\n"
    return text


def exit_codes() -> str:
    """Exit codes of the processes, each with what to do."""
    from aiida_iontherm.cli.why import REMEDIES

    messages: dict[tuple[int, str], str] = {}
    places: dict[tuple[int, str], list[str]] = {}
    for point in [*points("aiida.calculations"), *points("aiida.workflows")]:
        process = point.load()
        if not inspect.isclass(process):
            continue
        for label, exit_code in process.spec().exit_codes.items():
            if exit_code.status >= 200:
                messages.setdefault((exit_code.status, label), exit_code.message)
                places.setdefault((exit_code.status, label), []).append(point.name)
    rows = []
    for (status, label), message in sorted(messages.items()):
        names = places[status, label]
        where = "jobs and work chains of one task" if len(names) > 4 else ", ".join(code(name) for name in names)
        rows.append(
            (status, code(label), message, where, REMEDIES.get(status, "`iontherm why` finds the first cause."))
        )
    return table(("exit code", "label", "message", "of", "what to do"), rows)


def data_types() -> str:
    """Node types with the arrays each must hold."""
    rows = []
    for point in points("aiida.data"):
        node = point.load()
        required = getattr(node, "REQUIRED", ())
        # A reference to a module means nothing to a reader of the page.
        doc = re.sub(r" See `[^`]*`\.", "", first_paragraph(node))
        rows.append((code(point.name), code(node.__name__), doc, ", ".join(code(r) for r in required)))
    return table(("entry point", "class", "holds", "arrays it must have"), rows)


def engines() -> str:
    """Embedded engines."""
    rows = []
    for point in points("iontherm.calculators"):
        module = point.load()
        rows.append((code(point.name), first_paragraph(module), ", ".join(module.PACKAGES), len(module.ELEMENTS)))
    return table(("engine", "what it is", "packages it needs", "elements"), rows)


def programs() -> str:
    """Engines that are programs of their own, with the keys of their options."""
    rows, text = [], ""
    for point in points("iontherm.engines"):
        engine = point.load()
        if not hasattr(engine, "Options"):
            continue
        rows.append((code(point.name), first_paragraph(importlib.import_module(engine.__module__)), engine.PACKAGE))
        text += f"\n### Options of {point.name}\n\n{table(HEADER, _keys(engine.Options, 'engine.options.'))}"
    return table(("engine", "what it is", "package it needs"), rows) + text


def dft() -> str:
    """Keys of the section `engine.dft`."""
    from aiida_iontherm.engines.dft import DftSettings

    return table(HEADER, _keys(DftSettings, "engine.dft."))


def resources() -> str:
    """Keys of the section `resources`."""
    from aiida_iontherm.calculations.resources import Resources

    return table(HEADER, _keys(Resources, "resources.TASK."))


def handlers() -> str:
    """Error handlers of the chains of one task, by falling priority."""
    from aiida_iontherm.workchains.base import TaskWorkChain

    found = sorted(TaskWorkChain.get_process_handlers(), key=lambda handler: -handler.priority)
    return table(("handler", "what it does"), [(code(h.__name__), first_paragraph(h)) for h in found])


def processes(group: str, directive: str) -> str:
    """Specifications of the processes of an entry-point group."""
    text = ""
    for point in points(group):
        process = point.load()
        if inspect.isclass(process):
            text += f"## {point.name}\n\n```{{py:{directive}}} {process.__name__}\n"
            text += f":module: {process.__module__}\n:hide-nondb-inputs:\n```\n\n"
    return text


def calcfunctions() -> str:
    """List the calcfunctions, one line each."""
    rows = [
        (code(p.name), first_paragraph(p.load())) for p in points("aiida.calculations") if not inspect.isclass(p.load())
    ]
    return table(("entry point", "what it does"), rows)


def costs() -> str:
    """Tabulate what `--dry-run` says about CsCu2I3 on two cores."""
    from aiida_iontherm.materials.loaders import load_structure
    from aiida_iontherm.workchains.plan import make_plan
    from aiida_iontherm.workchains.protocols import load_protocol

    atoms = load_structure("CsCu2I3").atoms
    rows = []
    for name in PROTOCOLS:
        plan = make_plan(atoms, load_protocol(name), with_training=True)
        hours = sum(step.wall_seconds(2) for step in plan) / 3600
        time = f"{60 * hours:.0f} minutes" if hours < 1 else f"{float(f'{hours:.2g}'):g} hours"
        rows.append((code(name), sum(step.jobs for step in plan), time))
    return table(("protocol", "jobs at most", "estimate"), rows)


DIRECTIVES: dict[str, Callable[[], str]] = {
    "iontherm-calcfunctions": calcfunctions,
    "iontherm-calcjobs": lambda: processes("aiida.calculations", "aiida-calcjob"),
    "iontherm-commands": commands,
    "iontherm-costs": costs,
    "iontherm-data-types": data_types,
    "iontherm-engines": engines,
    "iontherm-programs": programs,
    "iontherm-dft": dft,
    "iontherm-resources": resources,
    "iontherm-handlers": handlers,
    "iontherm-exit-codes": exit_codes,
    "iontherm-materials": materials,
    "iontherm-published": published,
    "iontherm-settings": settings,
    "iontherm-tasks": tasks,
    "iontherm-workchains": lambda: processes("aiida.workflows", "aiida-workchain"),
}


class Generated(SphinxDirective):
    """Parse the Markdown that the function of this directive's name returns."""

    has_content = False
    required_arguments: ClassVar[int] = 0

    def run(self) -> list[nodes.Node]:
        """Return the parsed nodes."""
        return self.parse_text_to_nodes(DIRECTIVES[self.name](), allow_section_headings=True)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directives."""
    for name in DIRECTIVES:
        app.add_directive(name, Generated)
    return {"parallel_read_safe": True}
