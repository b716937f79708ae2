"""The files in workflows/ are settings: each is merged into the protocol it is made for."""

from pathlib import Path

import pytest
import yaml

from aiida_iontherm.workchains.protocols import load_protocol

FOLDER = Path(__file__).parents[2] / "workflows"


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yaml")), ids=lambda path: path.stem)
def test_file(path):
    text = path.read_text()
    protocol = text.split("--protocol ")[1].split()[0] if "--protocol " in text else "demo"
    settings = load_protocol(protocol, yaml.safe_load(text))
    assert settings.description in " ".join(yaml.safe_load(text)["description"].split())
    assert f"`{path.name}`" in (FOLDER / "README.md").read_text()


def test_the_relaxation_of_a_paper_has_the_points_it_names():
    settings = load_protocol("precise", yaml.safe_load((FOLDER / "vasp-cscu2i3.yaml").read_text()))
    relax = settings.engine.dft.for_relaxation()
    assert (relax.cutoff_ev, relax.k_mesh, relax.functional) == (700.0, (6, 6, 8), "PBEsol")
    assert (settings.engine.dft.cutoff_ev, settings.engine.dft.k_spacing) == (600.0, None)
