"""What a run costs beside the tasks: processor time and memory of the daemon and its services, bytes on the disk."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil

SERVICES = ("postgres", "beam.smp", "slurmctld", "slurmd")


def daemon_processes(daemon_pid: int | None) -> dict[str, list[psutil.Process]]:
    """Return the processes of a daemon by their role: circus, worker, broker."""
    roles: dict[str, list[psutil.Process]] = {"circus": [], "worker": [], "broker": []}
    if daemon_pid is None:
        return roles
    with suppress(psutil.NoSuchProcess):
        circus = psutil.Process(daemon_pid)
        roles["circus"].append(circus)
        for child in circus.children():
            with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
                words = child.cmdline()
                role = "worker" if "worker" in words else "broker" if "broker" in words else "circus"
                roles[role].append(child)
    return roles


class CpuMeter:
    """Sums processor time over processes that come and go; a process that was not seen at its end loses its last part.

    Attributes
    ----------
    seconds : dict of str to float
        By role.
    """

    def __init__(self, seconds: dict[str, float] | None = None) -> None:
        self.seconds = dict(seconds or {})
        self._seen: dict[tuple[int, float], float] = {}

    def sample(self, role: str, process: psutil.Process, since_start: bool = True) -> None:
        """Add what a process and the children it has waited for used since the last sample.

        Of a process that is older than this run (`since_start` false) the first sample is the zero.
        """
        with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
            key = (process.pid, process.create_time())
            used = sum(process.cpu_times()[:4])  # user, system, and both of children
            before = self._seen.get(key, 0.0 if since_start else used)
            self.seconds[role] = self.seconds.get(role, 0.0) + used - before
            self._seen[key] = used


def services() -> Iterator[tuple[str, psutil.Process]]:
    """Database, broker and scheduler of this machine."""
    for process in psutil.process_iter(["name"]):
        if process.info["name"] in SERVICES:
            yield process.info["name"], process


def folder_bytes(folder: Path) -> int:
    """Size of all files below a folder."""
    total = 0
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):  # the daemon is at work in there
            if path.is_file() and not path.is_symlink():
                total += path.stat().st_size
    return total


def stored_bytes() -> dict[str, int]:
    """Size of the database and of the file repository of the loaded profile."""
    from urllib.parse import unquote, urlsplit

    from aiida.manage import get_manager

    profile = get_manager().get_profile()
    if profile.storage_backend == "core.sqlite_dos":
        root = Path(profile.storage_config["filepath"])
        files = [path for path in root.glob("database.sqlite*") if path.is_file()]
        return {"database": sum(path.stat().st_size for path in files), "repository": folder_bytes(root / "container")}
    from sqlalchemy import text

    session = get_manager().get_profile_storage().get_session()
    database = session.execute(text("SELECT pg_database_size(current_database())")).scalar_one()
    repository = Path(unquote(urlsplit(profile.storage_config["repository_uri"]).path))
    return {"database": int(database), "repository": folder_bytes(repository)}


def slope(points: list[tuple[float, float]]) -> float:
    """Slope of a straight line through points."""
    if len(points) < 3:
        return float("nan")
    n = len(points)
    mean_x, mean_y = sum(x for x, _ in points) / n, sum(y for _, y in points) / n
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / spread if spread else float("nan")
