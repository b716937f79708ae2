"""The records refuse what cannot be drawn."""

from types import SimpleNamespace

import numpy as np
import pytest

from aiida_iontherm.report.model import KappaData, ParityData, ProvenanceGraph, ProvenanceNode, Published


def test_shapes_are_checked():
    tensors = np.zeros((2, 3, 3))
    with pytest.raises(ValueError, match=r"KappaData\.wave has shape \(2, 3\)"):
        KappaData(temperatures=np.array([300.0, 400.0]), particle=tensors, wave=np.zeros((2, 3)), total=tensors)
    three, two = np.zeros(3), np.zeros(2)
    with pytest.raises(ValueError, match="predicted_forces"):
        ParityData(
            reference_energies=three,
            predicted_energies=three,
            reference_forces=three,
            predicted_forces=two,
            test_energies=three > 0,
            test_forces=three > 0,
        )


def test_published_values_from_mappings_and_records():
    fields = {"name": "D_Cu", "value": 9.3e-8, "unit": "cm2/s", "citation": "A", "note": "ignored", "direction": None}
    assert Published.from_entry(fields) == Published.from_entry(SimpleNamespace(**fields))
    with pytest.raises(ValueError, match="without citation"):
        Published.from_entry({"name": "D_Cu", "value": 1.0, "unit": "cm2/s"})
    with pytest.raises(ValueError, match="not a number"):
        Published.from_entry({**fields, "value": "~0"})


def test_provenance_names_only_nodes_it_has():
    with pytest.raises(ValueError, match="not among the nodes: b"):
        ProvenanceGraph(nodes=[ProvenanceNode(id="a", label="a", kind="data", children=("b",))])
    with pytest.raises(ValueError, match="kind must be one of"):
        ProvenanceNode(id="a", label="a", kind="job")
