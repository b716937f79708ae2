"""The whole chain, run once through AiiDA on CuAu with EMT (see `material_run`)."""

import pytest

def test_run_finished(material_run):
    assert material_run.is_finished_ok, material_run.exit_message
