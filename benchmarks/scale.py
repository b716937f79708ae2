"""Run hundreds of light material chains through the daemon while things go wrong, and see whether any is lost.

In one folder, which a later run with the same options goes on with. A worker, the daemon, the broker and Slurm are
killed once each while chains run. At the end a table and `record.json`: what finished, how fast, what was stored, what
AiiDA cost, memory of the workers, and every failure with its reason.

    eval "$(.ci/services)"        # PostgreSQL, RabbitMQ and Slurm, for root on Debian
    python benchmarks/scale.py --folder /tmp/scale-postgres --backend postgres --slurm
    python benchmarks/scale.py --folder /tmp/scale-sqlite --backend sqlite
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from _scale_meter import CpuMeter, daemon_processes, folder_bytes, services, slope, stored_bytes
from _scale_trouble import troubles
from _timing import print_load, print_machine, print_table

SAMPLE_SECONDS = 5.0
STALL_SECONDS = 240.0
"""When nothing changed in the database for so long, what still waits was lost: AiiDA retries after 160 s at most."""

MOST_TRIES = 3


def main() -> None:
    """Run what is missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="of the profile, the jobs and the record")
    parser.add_argument("--backend", choices=["sqlite", "postgres"], required=True, help="with ZeroMQ or RabbitMQ")
    parser.add_argument("--postgres", default=os.environ.get("IONTHERM_TEST_POSTGRES"), help="URI of an empty database")
    parser.add_argument("--slurm", action="store_true", help="jobs through the Slurm of $SLURM_CONF, else directly")
    parser.add_argument("--count", type=int, default=300, help="compounds")
    parser.add_argument("--light", action="store_true", help="of all but the first only the ions, with its potential")
    parser.add_argument("--at-once", type=int, default=6, help="chains that run at a time")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--quiet", action="store_true", help="kill nothing")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    # Before AiiDA is imported, which reads both then: its folder, and where the daemon's verdi is.
    os.environ["AIIDA_PATH"] = str(options.folder.resolve())
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    print_machine()
    print_load()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped; run it again to go on"))
    run = ScaleRun(options)
    try:
        run.go()
    finally:
        run.stop()
    run.print_result()
    print_load()


class ScaleRun:
    """One run with its record, which is on the disk after every sample."""

    def __init__(self, options: argparse.Namespace) -> None:
        import _scale_profile
        from aiida.engine.daemon.client import get_daemon_client

        self.options = options
        self.database = _scale_profile
        self.path = options.folder / "record.json"
        postgres = options.postgres if options.backend == "postgres" else None
        if options.backend == "postgres" and postgres is None:
            sys.exit("which database? give --postgres, or start one with .ci/services")
        _scale_profile.load_or_make(options.folder.resolve(), postgres, options.slurm)
        self.daemon = get_daemon_client(_scale_profile.PROFILE)
        asked = {key: getattr(options, key) for key in ("backend", "slurm", "count", "light", "at_once", "workers")}
        if self.path.exists():
            self.record = json.loads(self.path.read_text())
            if self.record["options"] != asked:
                sys.exit(f"{options.folder} holds a run with other options: {self.record['options']}")
        else:
            empty = {"bytes": stored_bytes(), "processes": 0}
            self.record = {"options": asked, "empty": empty, "seconds": 0.0, "cpu": {}, "events": [], "lost": []}
            self.record |= {"memory": [], "alone": None}
        self.cpu = CpuMeter(self.record["cpu"])
        self.last_sample = time.monotonic()
        self.last_change = (None, time.monotonic())

    def go(self) -> None:
        """Submit, watch and disturb until every chain has ended."""
        self.daemon.start_daemon(number_workers=self.options.workers)
        self.first_alone()
        while True:
            self.sample()
            chains = self.database.chains()
            if self.submit_again(chains):
                continue
            ended = sum(chain.ended for chain in chains)
            if ended == self.options.count:
                return
            if not self.options.quiet:
                self.disturb(ended / self.options.count)
            self.top_up(chains)
            self.revive()
            time.sleep(SAMPLE_SECONDS)

    def first_alone(self) -> None:
        """Run the first compound with nothing else: what a chain waits for AiiDA on an idle machine."""
        if not self.database.chains():
            self.database.submit_compound(0, self.options.slurm)
        while not (first := self.database.chains()[0]).ended:
            self.sample()
            self.revive()
            time.sleep(1)
        if not first.finished:
            sys.exit(f"the first compound <{first.pk}> did not finish: {first.exit_message or first.exception}")
        if self.record["alone"] is None:
            in_tasks = self.database.task_seconds(first.pk)
            self.record["alone"] = {"wall": first.seconds, "tasks": in_tasks, "until": self.record["seconds"]}

    def submit_again(self, chains: list[Any]) -> bool:
        """Submit once more what did not survive, as a user would: what was finished comes from the cache."""
        failed = [chain for chain in chains if chain.ended and not chain.finished and chain.tries < MOST_TRIES]
        for chain in failed:
            reason = chain.exit_message or (chain.exception or chain.state).strip().splitlines()[-1]
            self.note("submitted again", f"{self.database.LABEL.format(chain.index)}, which {chain.state}: {reason}")
            self.database.submit_compound(chain.index, self.options.slurm, self.potential())
        return bool(failed)

    def potential(self) -> Any:
        """Return the potential that the first compound trained, for a light run."""
        from aiida.orm import load_node

        return load_node(self.database.chains()[0].pk).outputs.potential if self.options.light else None

    def top_up(self, chains: list[Any]) -> None:
        """Keep so many chains running, and no more: a worker walks all it has in lock-step."""
        running = sum(not chain.ended for chain in chains)
        submitted = {chain.index for chain in chains}
        missing = [index for index in range(self.options.count) if index not in submitted]
        for index in missing[: max(0, self.options.at_once - running)]:
            self.database.submit_compound(index, self.options.slurm, self.potential())

    def disturb(self, fraction: float) -> None:
        """Do what is due, one thing at a time."""
        done = {event["name"] for event in self.record["events"]}
        for due, name, act in troubles(self.options.slurm):
            if fraction >= due and name not in done:
                active = len(self.database.not_ended())
                self.note(name, f"{act(self.daemon, self.options.workers)}, {active} processes under way")
                self.database.reconnect()
                return

    def revive(self) -> None:
        """Play what AiiDA paused; where nothing moves any more, note what was lost and repair it."""
        waiting = self.database.not_ended()
        paused = [pk for pk, (_, _, is_paused) in waiting.items() if is_paused]
        if paused:
            self.note("paused", f"AiiDA paused {describe(waiting, paused)}")
            self.verdi("process", "play", *map(str, paused))
        signature = (self.database.count_processes(), tuple(sorted(waiting.items())))
        if signature != self.last_change[0]:
            self.last_change = (signature, time.monotonic())
        elif time.monotonic() - self.last_change[1] > STALL_SECONDS and waiting:
            self.note("stalled", f"nothing moved for {STALL_SECONDS:.0f} s: {describe(waiting, list(waiting))}")
            self.daemon.stop_daemon(wait=True, timeout=60)
            said = self.verdi("process", "repair", "--force")
            revived = [int(pk) for pk in re.findall(r"Revived process `(\d+)`", said)]
            self.record["lost"] += [[pk, *waiting.get(pk, ("?", "?"))[:2]] for pk in revived]
            self.daemon.start_daemon(number_workers=self.options.workers)
            self.database.reconnect()
            self.last_change = (None, time.monotonic())

    def verdi(self, *arguments: str) -> str:
        """Run a command of AiiDA, note what it says and return it."""
        verdi = Path(sys.executable).with_name("verdi")
        command = [verdi, "-p", self.database.PROFILE, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        self.note("verdi", f"{' '.join(arguments[:2])}: {(done.stdout + done.stderr).strip()[-500:]}")
        return done.stdout + done.stderr

    def note(self, name: str, text: str) -> None:
        """Print and record what happened."""
        self.record["events"].append({"name": name, "seconds": round(self.record["seconds"], 1), "text": text})
        print(f"{self.record['seconds']:8.0f} s  {name}: {text}", flush=True)
        self.save()

    def sample(self) -> None:
        """Add up time and processor time, look at the memory."""
        now = time.monotonic()
        self.record["seconds"] += now - self.last_sample
        self.last_sample = now
        processes = daemon_processes(self.daemon.get_daemon_pid())
        for role, group in processes.items():
            for process in group:
                self.cpu.sample(role, process)
        for role, process in services():
            self.cpu.sample(role, process, since_start=False)
        chains = self.database.chains()
        ended = sum(chain.ended for chain in chains)
        megabytes = {}
        for worker in processes["worker"]:
            try:
                megabytes[str(worker.pid)] = round(worker.memory_info().rss / 1e6, 1)
            except OSError:
                continue
        self.record["memory"].append([round(self.record["seconds"], 1), ended, megabytes])
        self.record["cpu"] = self.cpu.seconds
        self.save()

    def save(self) -> None:
        """Write the record, at once or not at all."""
        part = self.path.with_suffix(".part")
        part.write_text(json.dumps(self.record, indent=1))
        part.replace(self.path)

    def stop(self) -> None:
        """Leave no daemon behind, also after Ctrl-C or SIGTERM."""
        self.daemon.stop_daemon(wait=True, timeout=60)
        self.save()

    def result(self) -> dict[str, Any]:
        """Figures of the whole run."""
        chains = self.database.chains()
        others = max(1, len(chains) - 1)
        busy = self.record["seconds"] - self.record["alone"]["until"]
        processes = self.database.count_processes()
        tasks = [self.database.task_seconds(chain.pk) for chain in chains]
        stored, empty = stored_bytes(), self.record["empty"]["bytes"]
        cpu = self.record["cpu"]
        return {
            "finished": sum(chain.finished for chain in chains),
            "submitted": len(chains),
            "submitted_again": sum(chain.tries > 1 for chain in chains),
            "failed": {
                f"{self.database.LABEL.format(chain.index)} <{chain.pk}> {chain.state} [{chain.exit_status}]": (
                    chain.exit_message or (chain.exception or "").strip().splitlines()[-1:]
                )
                for chain in chains
                if chain.ended and not chain.finished
            },
            "failed_jobs": self.database.failed_jobs(),
            "lost": self.record["lost"],
            "processes": processes,
            "processes_per_compound": processes / len(chains),
            "processes_per_hour": processes * others / len(chains) / busy * 3600,
            "compounds_per_hour": others / busy * 3600,
            "hours": self.record["seconds"] / 3600,
            "database_bytes_per_compound": (stored["database"] - empty["database"]) / len(chains),
            "repository_bytes_per_compound": (stored["repository"] - empty["repository"]) / len(chains),
            "work_folder_bytes_per_compound": folder_bytes(self.options.folder / "jobs") / len(chains),
            "task_seconds_per_compound": sum(tasks) / len(chains),
            "daemon_cpu_seconds_per_compound": (cpu.get("worker", 0.0) + cpu.get("circus", 0.0)) / len(chains),
            "services_cpu_seconds_per_compound": {
                role: used / len(chains) for role, used in cpu.items() if role not in ("worker", "circus")
            },
            "alone_wall_seconds": self.record["alone"]["wall"],
            "alone_overhead_seconds": self.record["alone"]["wall"] - self.record["alone"]["tasks"],
            "memory": self.memory(),
        }

    def memory(self) -> dict[str, dict[str, float]]:
        """First, largest and last size of each worker in MB, and its growth once it has loaded everything."""
        series: dict[str, list[tuple[float, float]]] = {}
        for _, ended, sizes in self.record["memory"]:
            for pid, size in sizes.items():
                series.setdefault(pid, []).append((ended, size))
        figures = {}
        for pid, points in series.items():
            settled = [point for point in points if point[0] > points[0][0] + 5]
            figures[pid] = {
                "first": points[0][1],
                "largest": max(size for _, size in points),
                "last": points[-1][1],
                "compounds": points[-1][0] - points[0][0],
                "growth_per_100_compounds": 100 * slope(settled),
            }
        return figures

    def print_result(self) -> None:
        """Print the figures and add them to the record."""
        result = self.record["result"] = self.result()
        self.save()
        services_cpu = ", ".join(
            f"{name} {used:.2f}" for name, used in sorted(result["services_cpu_seconds_per_compound"].items())
        )
        rows = [
            ["compounds finished", f"{result['finished']} of {self.options.count}"],
            ["of them submitted again", str(result["submitted_again"])],
            ["processes lost and repaired", str(len(result["lost"]))],
            ["hours", f"{result['hours']:.2f}"],
            ["compounds an hour", f"{result['compounds_per_hour']:.1f}"],
            ["processes per compound", f"{result['processes_per_compound']:.1f}"],
            ["processes an hour", f"{result['processes_per_hour']:.0f}"],
            ["database, kB per compound", f"{result['database_bytes_per_compound'] / 1e3:.0f}"],
            ["file repository, kB per compound", f"{result['repository_bytes_per_compound'] / 1e3:.0f}"],
            ["folders of the jobs, kB per compound", f"{result['work_folder_bytes_per_compound'] / 1e3:.0f}"],
            ["tasks, s per compound", f"{result['task_seconds_per_compound']:.1f}"],
            ["daemon, CPU s per compound", f"{result['daemon_cpu_seconds_per_compound']:.1f}"],
            ["services, CPU s per compound", services_cpu],
            ["one compound alone, s", f"{result['alone_wall_seconds']:.1f}"],
            ["of which not in its tasks", f"{result['alone_overhead_seconds']:.1f}"],
        ]
        with_slurm = ", Slurm" if self.options.slurm else ""
        print_table(f"Scale: {self.options.backend}{with_slurm}", ["what", "figure"], rows)
        header = ["worker", "first MB", "largest", "last", "compounds meanwhile", "growth per 100 compounds"]
        rows = [
            [pid, *(f"{figures[key]:.0f}" for key in ("first", "largest", "last", "compounds")), growth]
            for pid, figures in result["memory"].items()
            for growth in [f"{figures['growth_per_100_compounds']:.1f}"]
        ]
        print_table("Memory of the workers", header, rows)
        for title, reasons in (("Failed", result["failed"]), ("Jobs that failed", result["failed_jobs"])):
            for what, why in reasons.items():
                print(f"{title}: {what}: {why}")


def describe(waiting: dict[int, tuple[str, str, bool]], pks: list[int]) -> str:
    return ", ".join(f"{waiting[pk][0]}<{pk}> {waiting[pk][1]}" for pk in pks)


if __name__ == "__main__":
    main()
