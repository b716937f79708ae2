"""ASE calculators inside the task ``reference``: many configurations in one job."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from aiida.orm import Dict, ProcessNode, StructureData

from aiida_iontherm.calculations.functions import merge_configurations
from aiida_iontherm.calculations.reference_sets import parts_of, total_figures
from aiida_iontherm.data import ConfigurationsData
from aiida_iontherm.engines.builders.interface import Engine, Job, Labelled, Relaxed
from aiida_iontherm.engines.dft import DftSettings
from aiida_iontherm.engines.embedded import EngineError, check_elements, takes_dft


class EmbeddedEngine(Engine):
    """An ASE calculator by its name in the group ``iontherm.calculators``."""

    NAME = "embedded"
    PACKAGE = "aiida-iontherm"
    PLUGIN = "iontherm.reference"

    @classmethod
    def check(cls, section: Mapping[str, Any], symbols: Iterable[str]) -> None:
        """Check the elements, and that no other code is asked for."""
        if section.get("code"):
            raise EngineError(
                f"engine.code: {section['name']} runs inside the code of the tasks; leave {section['code']} out, or "
                "name another engine"
            )
        check_elements(section["name"], symbols)

    def relax(self, structure: StructureData, settings: Mapping[str, Any]) -> Job:
        """Relax with ASE; the k points are those of the cell it starts from."""
        dft = self._dft()
        if dft is not None:
            dft = dft.for_relaxation()
            dft = dft.model_copy(update={"k_mesh": dft.mesh(structure.get_ase().cell.array), "k_spacing": None})
        return self._job({"mode": "relax", "relax": dict(settings)}, dft, structure=structure)

    def relaxed(self, structure: StructureData, node: ProcessNode) -> Relaxed:
        """Hand on what the task made."""
        outputs = node.outputs
        return Relaxed(outputs.structure, outputs.configurations, outputs.output_parameters)

    def sample(self, structure: StructureData, settings: Mapping[str, Any], supercell: Sequence[int]) -> dict[str, Job]:
        """Run all MD and all rattled cells in one job."""
        sample = {**settings, "supercell": list(supercell)}
        return {"sample": self._job({"mode": "sample", "sample": sample}, self._dft(), structure=structure)}

    def label(self, configurations: ConfigurationsData) -> dict[str, Job]:
        """Label all in one job, or in jobs of so many configurations as the section says."""
        size = self.section.get("configurations_per_job")
        if not size or len(configurations.frames()) <= size:
            return {"label": self._job({"mode": "label"}, self._dft(), configurations=configurations)}
        return {
            name: self._job({"mode": "label"}, self._dft(), configurations=part)
            for name, part in parts_of(configurations, Dict({"size": size})).items()
        }

    def collect(
        self,
        nodes: Mapping[str, ProcessNode],
        *,
        configurations: ConfigurationsData | None = None,
        sample: Mapping[str, Any] | None = None,
    ) -> Labelled:
        """Join the parts in their order."""
        failed = next((node for node in nodes.values() if not node.is_finished_ok), None)
        if failed is not None:
            raise EngineError(failed.exit_message or f"{failed.process_label} <{failed.pk}> did not finish")
        parts = {name: nodes[name].outputs for name in sorted(nodes)}
        if len(parts) == 1:
            only = next(iter(parts.values()))
            return Labelled(only.configurations, only.output_parameters)
        return Labelled(
            merge_configurations(**{name: outputs.configurations for name, outputs in parts.items()}),
            total_figures(**{name: outputs.output_parameters for name, outputs in parts.items()}),
        )

    def _dft(self) -> DftSettings | None:
        if not takes_dft(self.section["name"]):
            return None
        return DftSettings.model_validate(self.section.get("dft") or {})

    def _job(self, mode: dict[str, Any], dft: DftSettings | None, **nodes: Any) -> Job:
        options = dict(self.section.get("options") or {})
        if dft is not None:
            options["dft"] = dft.model_dump(mode="json")
        parameters = {"engine": self.section["name"], "engine_options": options, **mode}
        return Job("iontherm.reference", {**self.common, **nodes, "parameters": Dict(parameters)})
