"""Things that go wrong on machines, done on purpose, each once."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
from _scale_meter import daemon_processes

SCRIPTS = Path(__file__).parents[1] / ".ci"


def script(*arguments: str) -> None:
    """Run one of the scripts that started the services."""
    # Of this repository, with words from this file.
    subprocess.run([SCRIPTS / arguments[0], *arguments[1:]], check=True, stdout=subprocess.DEVNULL)


def kill_worker(daemon: Any, _workers: int) -> str:
    """Kill one of the workers; circus starts another."""
    worker = daemon_processes(daemon.get_daemon_pid())["worker"][0]
    worker.kill()
    return f"kill -9 of the worker {worker.pid}"


def kill_daemon(daemon: Any, workers: int) -> str:
    """Kill all of the daemon at once, as when a machine loses its power, and start it again."""
    processes = [process for group in daemon_processes(daemon.get_daemon_pid()).values() for process in group]
    for process in processes:  # circus comes first: nothing is started again in between
        process.kill()
    psutil.wait_procs(processes, timeout=10)
    daemon.start_daemon(number_workers=workers)
    return f"kill -9 of the daemon with its {len(processes) - 1} children"


def restart_broker(daemon: Any, _workers: int) -> str:
    """Restart RabbitMQ by its own command; kill the ZeroMQ broker, of which circus starts another.

    The new ZeroMQ broker listens at another address, which running workers do not learn: they are restarted.
    """
    if daemon.profile.process_control_backend == "core.rabbitmq":
        script("rabbitmq", "restart")
        return "RabbitMQ restarted"
    (broker,) = daemon_processes(daemon.get_daemon_pid())["broker"]
    broker.kill()
    time.sleep(5)
    daemon.restart_daemon()
    return f"kill -9 of the ZeroMQ broker {broker.pid}, workers restarted"


def restart_slurm(_daemon: Any, _workers: int) -> str:
    """Kill controller and node daemon and start them again."""
    script("slurm", "restart")
    return "Slurm killed and started again"


def troubles(slurm: bool) -> list[tuple[float, str, Callable[[Any, int], str]]]:
    """Say when each is due, as the fraction of compounds that have ended, its name, and what to do."""
    due = [(0.2, "worker", kill_worker), (0.4, "daemon", kill_daemon), (0.6, "broker", restart_broker)]
    return [*due, (0.8, "slurm", restart_slurm)] if slurm else due
