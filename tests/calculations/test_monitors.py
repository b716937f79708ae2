"""Monitors on a transport that is not there."""

from types import SimpleNamespace

import pytest

from aiida_iontherm.calculations.monitors import stalled


class Disk:
    """A transport whose progress file has a size, or is not there."""

    def __init__(self):
        self.size = None

    def get_attribute(self, path):
        assert path.endswith("/progress.jsonl")
        if self.size is None:
            raise OSError(path)
        return SimpleNamespace(st_size=self.size)


@pytest.fixture
def clock(monkeypatch):
    now = SimpleNamespace(minutes=0.0)
    monkeypatch.setattr("aiida_iontherm.calculations.monitors.time.time", lambda: 60 * now.minutes)
    return now


def test_a_job_that_tells_nothing_new_is_ended(make_job, clock):
    node, disk = make_job("iontherm.md"), Disk()
    node.set_remote_workdir("/scratch/job")
    assert stalled(node, disk, minutes=30) is None  # not begun
    disk.size = 100
    assert stalled(node, disk, minutes=30) is None
    clock.minutes = 29
    disk.size = 200
    assert stalled(node, disk, minutes=30) is None  # it has grown
    clock.minutes = 58
    assert stalled(node, disk, minutes=30) is None  # 29 minutes since
    clock.minutes = 60
    assert stalled(node, disk, minutes=30) == "nothing new in progress.jsonl for 31 minutes: the job hangs"
