"""``iontherm setup``: profile, computer and code, made once and left alone afterwards."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from aiida_iontherm.cli.common import PROFILE_NAME, UserError, user_errors

CACHED = ["aiida.calculations:iontherm.*"]
CODE_LABEL = "iontherm-task"


@click.command()
@click.option(
    "-p", "--profile", "profile_name", default=PROFILE_NAME, show_default=True, help="Profile to make or use."
)
@click.option("--postgres", metavar="URI", help="postgresql://user:password@host:port/database instead of SQLite.")
@click.option("--rabbitmq", is_flag=True, help="RabbitMQ on this machine instead of the built-in ZeroMQ broker.")
@click.option(
    "--workdir", type=click.Path(path_type=Path), help="Where jobs run; default: beside the AiiDA configuration."
)
@click.option("--quiet", is_flag=True, help="Say nothing when there was nothing to do.")
@user_errors
def setup(profile_name: str, postgres: str | None, rabbitmq: bool, workdir: Path | None, quiet: bool) -> None:
    """Make an AiiDA profile, the computer localhost and the code iontherm-task, where they are missing.

    Running it again changes nothing; other profiles are never touched.
    """
    done = ensure_profile(profile_name, postgres, rabbitmq)
    done += ensure_computer(workdir)
    done += ensure_code()
    for line in done:
        click.echo(line)
    if not done and not quiet:
        click.echo(f"The profile {profile_name} is complete: computer localhost, code {CODE_LABEL}@localhost.")
    if done:
        click.echo("Next: `iontherm run CsCu2I3`; for `--submit`, start the daemon with `verdi daemon start`.")


def ensure_profile(name: str, postgres: str | None, rabbitmq: bool) -> list[str]:
    """Create the profile if it does not exist, load it, and return what was done."""
    from aiida import load_profile
    from aiida.manage.configuration import create_profile, get_config

    config = get_config(create=True)
    if name in config.profile_names:
        load_profile(name, allow_switch=True)
        return []
    storage, storage_config = _storage(name, postgres, config)
    broker, broker_config = _broker(rabbitmq)
    create_profile(
        config,
        name=name,
        email="iontherm@localhost",
        storage_backend=storage,
        storage_config=storage_config,
        broker_backend=broker,
        broker_config=broker_config,
    )
    # A busy machine misses the daemon's two seconds; one worker with few slots keeps the laptop usable.
    options = {
        "runner.poll.interval": 1,
        "daemon.timeout": 30,
        "daemon.default_workers": 1,
        "daemon.worker_process_slots": 50,
        "caching.enabled_for": CACHED,
        "warnings.development_version": False,
    }
    if rabbitmq:
        options["warnings.rabbitmq_version"] = False
    for option, value in options.items():
        config.set_option(option, value, scope=name)
    if not config.default_profile_name:
        config.set_default_profile(name)
    config.store()
    load_profile(name, allow_switch=True)
    return [
        f"Made the AiiDA profile {name} ({storage}, broker {broker}); calculations of iontherm are taken from the "
        "cache when they were done before."
    ]


def _storage(name: str, postgres: str | None, config: Any) -> tuple[str, dict[str, Any]]:
    if postgres is None:
        return "core.sqlite_dos", {}
    from urllib.parse import unquote, urlsplit

    parts = urlsplit(postgres)
    if parts.scheme != "postgresql" or not parts.username or not parts.path.strip("/"):
        raise UserError("--postgres wants postgresql://user:password@host:port/database, an existing empty database")
    repository = Path(config.dirpath) / "repository" / name
    return "core.psql_dos", {
        "database_hostname": parts.hostname or "localhost",
        "database_port": parts.port or 5432,
        "database_username": unquote(parts.username),
        "database_password": unquote(parts.password or ""),
        "database_name": parts.path.strip("/"),
        "repository_uri": repository.as_uri(),
    }


def _broker(rabbitmq: bool) -> tuple[str, dict[str, Any]]:
    if not rabbitmq:
        from aiida.plugins import BrokerFactory

        return "core.zeromq", BrokerFactory("core.zeromq").get_default_config()
    from aiida.brokers.rabbitmq.defaults import detect_rabbitmq_config

    try:
        return "core.rabbitmq", detect_rabbitmq_config()
    except ConnectionError as error:
        raise UserError(
            f"no RabbitMQ server answers on this machine ({error}): start it or leave --rabbitmq out"
        ) from error


def ensure_computer(workdir: Path | None = None) -> list[str]:
    """Make and configure the computer localhost if it does not exist."""
    from aiida.common.exceptions import NotExistent
    from aiida.manage import get_manager
    from aiida.manage.configuration import get_config
    from aiida.orm import Computer, load_computer

    try:
        computer = load_computer("localhost")
    except NotExistent:
        profile = get_manager().get_profile().name
        folder = workdir or Path(get_config().dirpath) / "scratch" / profile
        computer = Computer(
            label="localhost",
            hostname="localhost",
            description="this machine, made by iontherm setup",
            transport_type="core.local",
            scheduler_type="core.direct",
            workdir=str(folder),
        ).store()
        computer.set_minimum_job_poll_interval(0.5)
        computer.set_default_mpiprocs_per_machine(1)
        computer.configure(safe_interval=0, use_login_shell=False)
        return [f"Made the computer localhost; jobs run in {folder}."]
    if not computer.is_configured:
        computer.configure(safe_interval=0, use_login_shell=False)
        return ["Configured the computer localhost."]
    return []


def ensure_code() -> list[str]:
    """Make the code iontherm-task@localhost for this installation."""
    from aiida.common.exceptions import NotExistent
    from aiida.orm import InstalledCode, load_code, load_computer

    executable = Path(sys.executable).with_name(CODE_LABEL)
    if not executable.is_file():
        raise UserError(
            f"there is no {CODE_LABEL} beside {sys.executable}: install aiida-iontherm into this environment"
        )
    lines = []
    try:
        code = load_code(f"{CODE_LABEL}@localhost")
        if Path(str(code.filepath_executable)) == executable:
            return []
        # Nodes are immutable: the old code keeps its history under another label.
        code.label = f"{CODE_LABEL}-{code.pk}"
        code.is_hidden = True
        lines.append(
            f"The code of the installation in {Path(str(code.filepath_executable)).parent} is now {code.label}."
        )
    except NotExistent:
        pass
    InstalledCode(
        label=CODE_LABEL,
        description="tasks of aiida-iontherm",
        computer=load_computer("localhost"),
        filepath_executable=str(executable),
    ).store()
    lines.append(f"Made the code {CODE_LABEL}@localhost.")
    return lines
