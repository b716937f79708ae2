"""Options and error handling that the commands share."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import click

PROFILE_NAME = "iontherm"

MATERIAL = "MaterialWorkChain"

REPORTED = ("GreenKuboWorkChain", "NemdWorkChain", "BarrierWorkChain")
"""Work chains beside that of a whole compound whose results and report can be asked for."""

profile_option = click.option(
    "-p", "--profile", "profile_name", default=None, metavar="NAME", help="AiiDA profile; default: the one of `setup`."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print records for programs.")


class UserError(click.ClickException):
    """What the user can mend: one line, exit code 1, no traceback."""

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


def user_errors(command: Callable[..., Any]) -> Callable[..., Any]:
    """Turn ``ValueError`` (how this package reports bad input) into one line with a remedy."""

    @functools.wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except ValueError as error:
            raise UserError(str(error)) from error

    return wrapped


def load_profile(name: str | None) -> Any:
    """Load the AiiDA profile, or say how to make one.

    Raises
    ------
    UserError
        If there is no such profile.
    """
    from aiida import load_profile as aiida_load_profile
    from aiida.common.exceptions import ConfigurationError, ProfileConfigurationError
    from aiida.manage.configuration import get_config

    try:
        names = get_config().profile_names
    except ConfigurationError:
        names = []
    if name is None and PROFILE_NAME in names:
        name = PROFILE_NAME
    if name is None:
        raise UserError("there is no AiiDA profile for iontherm yet: make one with `iontherm setup`")
    if name not in names:
        raise UserError(
            f"there is no AiiDA profile {name}: there are {', '.join(names) or 'none'}; see `iontherm setup`"
        )
    try:
        return aiida_load_profile(name, allow_switch=True)
    except (ConfigurationError, ProfileConfigurationError) as error:
        raise UserError(f"the AiiDA profile {name} cannot be loaded: {error}") from error


def load_run(identifier: str) -> Any:
    """Return the process node with this pk or uuid.

    Raises
    ------
    UserError
        If there is none.
    """
    from aiida.common.exceptions import MultipleObjectsError, NotExistent
    from aiida.orm import ProcessNode, load_node

    try:
        node = load_node(int(identifier) if identifier.isdigit() else identifier)
    except (NotExistent, MultipleObjectsError, ValueError) as error:
        raise UserError(f"there is no process {identifier}: see `verdi process list -a`") from error
    if not isinstance(node, ProcessNode):
        raise UserError(f"{identifier} is a {node.__class__.__name__}, not a process: see `verdi process list -a`")
    return node


def load_material_run(identifier: str) -> Any:
    """Return the run of a whole compound with this pk or uuid.

    Raises
    ------
    UserError
        If it is another process; its caller is named where that is the run.
    """
    return _checked(load_run(identifier), identifier, (MATERIAL,))


def load_reported_run(identifier: str) -> Any:
    """Return the run with this pk or uuid, of a whole compound or of one of the chains that have a report.

    Raises
    ------
    UserError
        As `load_material_run`.
    """
    return _checked(load_run(identifier), identifier, (MATERIAL, *REPORTED))


def _checked(node: Any, identifier: str, labels: tuple[str, ...]) -> Any:
    if node.process_label in labels:
        return node
    run = node
    while run.caller is not None:
        run = run.caller
    hint = f"it belongs to run {run.pk}" if run.process_label == MATERIAL else "see `verdi process list -a`"
    others = f" or of {', '.join(labels[1:])}" if labels[1:] else ""
    raise UserError(f"process {identifier} is a {node.process_label}, not a run of `iontherm run`{others}: {hint}")
