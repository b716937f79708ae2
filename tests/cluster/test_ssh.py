"""Jobs over `core.ssh_async`, with an ssh configuration of the user's own and through a jump host.

The other machine is this one, behind a server of asyncssh, the library with which AiiDA connects.
"""

import asyncio
import threading
from pathlib import Path

import asyncssh
import pytest
from aiida.cmdline.commands.cmd_computer import computer_test
from aiida.orm import Computer, Dict, InstalledCode
from aiida.plugins import CalculationFactory
from click.testing import CliRunner

from aiida_iontherm.data import ConfigurationsData

CONFIGURATION = """
Host gate
    HostName 127.0.0.1
    Port {port}

Host cluster
    HostName localhost
    Port {port}
    ProxyJump gate

Host *
    User you
    IdentityFile {folder}/id_ed25519
"""


class Gate(asyncssh.SSHServer):
    """Lets in who has the key, and through to other machines."""

    def __init__(self, asked_through: list[str]) -> None:
        self._asked_through = asked_through

    def connection_requested(self, host: str, _port: int, _from_host: str, _from_port: int) -> bool:
        self._asked_through.append(host)
        return True


class Cluster:
    """An SSH server in a thread; `greeting` is what its start-up files print before each command."""

    def __init__(self, home: Path) -> None:
        self.asked_through: list[str] = []
        self.greeting = b""
        folder = home / ".ssh"
        folder.mkdir()
        key, host_key = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(2))
        key.write_private_key(folder / "id_ed25519")
        key.write_public_key(folder / "authorized_keys")
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        server = asyncio.run_coroutine_threadsafe(self._listen(host_key, folder), self._loop).result(timeout=10)
        (folder / "config").write_text(CONFIGURATION.format(port=server.get_port(), folder=folder))
        known = host_key.export_public_key().decode()
        hosts = ",".join(f"[{host}]:{server.get_port()}" for host in ("localhost", "127.0.0.1"))
        (folder / "known_hosts").write_text(f"{hosts} {known}")

    async def _listen(self, host_key: asyncssh.SSHKey, folder: Path) -> asyncssh.SSHAcceptor:
        return await asyncssh.listen(
            "localhost",
            0,
            server_factory=lambda: Gate(self.asked_through),
            server_host_keys=[host_key],
            authorized_client_keys=str(folder / "authorized_keys"),
            process_factory=self._run,
            sftp_factory=True,
            encoding=None,
        )

    async def _run(self, process: asyncssh.SSHServerProcess) -> None:
        process.stdout.write(self.greeting)
        pipe = asyncio.subprocess.PIPE
        shell = await asyncio.create_subprocess_shell(
            process.command, stdin=asyncio.subprocess.DEVNULL, stdout=pipe, stderr=pipe
        )
        output, errors = await shell.communicate()
        process.stdout.write(output)
        process.stderr.write(errors)
        process.exit(shell.returncode)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(home))
        cluster = Cluster(home)
        yield cluster
        cluster.close()


@pytest.fixture(scope="module")
def computer(cluster, aiida_profile, tmp_path_factory):
    computer = Computer(
        label="over-ssh",
        hostname="cluster",
        transport_type="core.ssh_async",
        scheduler_type="core.direct",
        workdir=str(tmp_path_factory.mktemp("remote")),
    ).store()
    computer.set_minimum_job_poll_interval(0.5)
    computer.set_default_mpiprocs_per_machine(1)
    computer.configure(safe_interval=0, use_login_shell=False)
    return computer


def test_a_job_through_the_jump_host(cluster, computer, task_code, run_process, cuau):
    code = InstalledCode(
        label="over-ssh", computer=computer, filepath_executable=str(task_code.filepath_executable)
    ).store()
    node = run_process(
        CalculationFactory("iontherm.reference"),
        code=code,
        configurations=ConfigurationsData.from_frames([cuau]),
        parameters=Dict({"engine": "emt", "mode": "label"}),
    )
    assert node.is_finished_ok, node.exit_message
    assert Path(node.get_remote_workdir()).is_relative_to(computer.get_workdir())
    assert "localhost" in cluster.asked_through


def what_verdi_says(computer):
    return CliRunner().invoke(computer_test, [computer.label]).output


def test_verdi_finds_nothing_wrong(computer):
    assert "all 6 tests succeeded" in what_verdi_says(computer)


def test_verdi_shows_what_start_up_files_print(cluster, computer):
    """What a shell prints before a command, AiiDA takes for its answer."""
    cluster.greeting = b"Welcome! You have 3 unread messages.\n"
    try:
        said = what_verdi_says(computer)
    finally:
        cluster.greeting = b""
    assert "spurious output" in said
    assert "You have 3 unread messages" in said
