"""What density-functional programs have in common that compute one structure a job: cells out, frames back."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar

from aiida.common.exceptions import MultipleObjectsError, NotExistent
from aiida.orm import AbstractCode, CalcJobNode, Dict, KpointsData, Node, ProcessNode, StructureData, load_code
from ase import Atoms
from pydantic import BaseModel, ValidationError

from aiida_iontherm.calculations.reference_sets import (
    RUN,
    cells_to_sample,
    gather_frames,
    gather_relaxed,
    single_cells,
    sorted_cell,
)
from aiida_iontherm.calculations.resources import options_for
from aiida_iontherm.data import ConfigurationsData
from aiida_iontherm.engines.builders.interface import Engine, Job, Labelled, Relaxed
from aiida_iontherm.engines.dft import DftSettings
from aiida_iontherm.engines.embedded import EngineError
from aiida_iontherm.tasks.contract import explain


class PlaneWaveEngine(Engine):
    """A program of its own behind an AiiDA plugin, run through the plugin's own restart work chain.

    Subclasses say how a cell becomes the inputs of that chain and how its outputs become frames.
    """

    OUTPUTS: ClassVar[tuple[str, ...]]
    """Outputs of its CalcJob from which `frames` reads."""

    Options: ClassVar[type[BaseModel]]
    """Section `engine.options` of this engine."""

    def __init__(self, section: Mapping[str, Any], common: Mapping[str, Any]) -> None:
        super().__init__(section, common)
        self.dft = DftSettings.model_validate(self.section.get("dft") or {})
        self.options = self._options(self.section)
        self.code = load_code(self.section["code"])
        self._nodes: dict[str, Any] = {}

    @classmethod
    def check(cls, section: Mapping[str, Any], symbols: Iterable[str]) -> None:
        """Check the options, the code, and that there is a potential for each element."""
        options = cls._options(section)
        label = section.get("code")
        if not label:
            raise EngineError(
                f"the engine {cls.NAME} is a program of its own: name its code, engine.code: LABEL@COMPUTER, as "
                "`verdi code list` shows it"
            )
        try:
            code = load_code(label)
        except (NotExistent, MultipleObjectsError) as error:
            raise EngineError(
                f"engine.code: there is no code {label} in this profile: `verdi code create` makes one, `verdi code "
                "list` shows those that are there"
            ) from error
        cls._check_code(code)
        cls.check_potentials(options, sorted(set(symbols)))

    @classmethod
    def _check_code(cls, code: AbstractCode) -> None:
        plugin = code.default_calc_job_plugin
        if plugin not in (None, cls.PLUGIN):
            raise EngineError(
                f"engine.code: {code.full_label} is a code for {plugin}, the engine {cls.NAME} needs one for "
                f"{cls.PLUGIN}"
            )
        if not code.computer.is_configured:
            raise EngineError(
                f"the computer {code.computer.label} of {code.full_label} is not configured: `verdi computer configure "
                f"{code.computer.transport_type} {code.computer.label}`"
            )

    @classmethod
    def _options(cls, section: Mapping[str, Any]) -> Any:
        try:
            return cls.Options.model_validate(section.get("options") or {})
        except ValidationError as error:
            raise EngineError(f"engine.options of {cls.NAME}: {explain(error, cls.Options)}") from error

    @classmethod
    @abstractmethod
    def check_potentials(cls, options: Any, symbols: Sequence[str]) -> None:
        """Raise `EngineError` if an element has no pseudopotential."""

    @staticmethod
    @abstractmethod
    def frames(outputs: Mapping[str, Node]) -> list[Atoms]:
        """Return the ionic steps of one job with energy (that of the forces, eV), forces and stress; pure.

        Steps whose electrons did not converge are left out.
        """

    @abstractmethod
    def relaxation(self, cell: StructureData, settings: Mapping[str, Any]) -> Job:
        """Return the relaxation of a cell whose like atoms stand together."""

    @abstractmethod
    def single_point(self, cell: StructureData) -> Job:
        """Return a single point of such a cell."""

    @abstractmethod
    def dynamics(self, cell: StructureData, settings: Mapping[str, Any], index: int) -> Job:
        """Return the MD run `index` of a sample that starts from such a cell."""

    def relax(self, structure: StructureData, settings: Mapping[str, Any]) -> Job:
        """Relax, with the k points of the cell it starts from."""
        return self.relaxation(sorted_cell(structure), settings)

    def relaxed(self, structure: StructureData, node: ProcessNode) -> Relaxed:
        """Take the last step of the last job, in the order of the sites of `structure`."""
        last = self._jobs(node)[-1]
        outputs = {name: last.outputs[name] for name in self.OUTPUTS if name in last.outputs}
        made = gather_relaxed(Dict({"engine": self.NAME}), structure, **outputs)
        return Relaxed(made["structure"], made["configurations"], made["output_parameters"])

    def sample(self, structure: StructureData, settings: Mapping[str, Any], supercell: Sequence[int]) -> dict[str, Job]:
        """Run MD once for each temperature, and a single point for each rattled cell."""
        cells = cells_to_sample(structure, Dict({**settings, "supercell": list(supercell)}))
        return {
            name: self.dynamics(cell, settings, int(name.rsplit("_", 1)[-1]))
            if name.startswith(RUN)
            else self.single_point(cell)
            for name, cell in cells.items()
        }

    def label(self, configurations: ConfigurationsData) -> dict[str, Job]:
        """Compute a single point for each configuration."""
        return {name: self.single_point(cell) for name, cell in single_cells(configurations).items()}

    def collect(
        self,
        nodes: Mapping[str, ProcessNode],
        *,
        configurations: ConfigurationsData | None = None,
        sample: Mapping[str, Any] | None = None,
    ) -> Labelled:
        """Join the frames of all jobs that left some; what is missing is told, not fatal."""
        outputs: dict[str, Node] = {}
        for name, node in nodes.items():
            jobs = self._jobs(node)
            # An MD run may have been continued, and all its parts count; of a single point the last attempt does.
            for part, job in enumerate(jobs if name.startswith(RUN) else jobs[-1:]):
                key = f"{name}_p{part}"
                outputs[f"cell_of_{key}"] = job.inputs.structure
                outputs |= {
                    f"{output}_of_{key}": job.outputs[output] for output in self.OUTPUTS if output in job.outputs
                }
        if not outputs:
            first = next(iter(nodes.values()))
            raise EngineError(
                f"none of {len(nodes)} jobs left energies and forces; the first ended with: "
                f"{first.exit_message or first.process_state.value}"
            )
        settings: dict[str, Any] = {"engine": self.NAME}
        if sample is not None:
            settings |= {key: sample[key] for key in ("stride", "frames_per_run")}
        given = {} if configurations is None else {"configurations": configurations}
        made = gather_frames(Dict(settings), **given, **outputs)
        return Labelled(made["configurations"], made["output_parameters"])

    def kpoints(self, cell: StructureData, dft: DftSettings) -> KpointsData:
        """Return the mesh of a cell."""
        mesh = dft.mesh(cell.get_ase().cell.array)

        def make() -> KpointsData:
            node = KpointsData()
            node.set_kpoints_mesh(list(mesh))
            return node

        return self.shared(f"mesh {mesh}", make)

    def shared(self, key: str, make: Callable[[], Any]) -> Any:
        """Return one node for all jobs that want the same: hundreds of jobs do."""
        if key not in self._nodes:
            self._nodes[key] = make()
        return self._nodes[key]

    def shared_dict(self, value: Mapping[str, Any]) -> Dict:
        """Return one Dict for all jobs with the same content."""
        return self.shared(json.dumps(value, sort_keys=True), lambda: Dict(dict(value)))

    def job_options(self) -> dict[str, Any]:
        """Return the scheduler options of this program's jobs."""
        options = options_for(
            self.common["options"].get_dict() if "options" in self.common else {}, self.NAME, ranks=True
        )
        options.setdefault("resources", {"num_machines": 1, "num_mpiprocs_per_machine": 1})
        if self.code.with_mpi is not None:
            # The plugins ask for MPI by default, and AiiDA refuses where a code says otherwise.
            options.setdefault("withmpi", self.code.with_mpi)
        return options

    def _jobs(self, node: ProcessNode) -> list[CalcJobNode]:
        """Jobs of a chain that left frames, in their order; none of a chain that failed, unless its frames are good."""
        if not (node.is_finished_ok or self.keeps_partial(node)):
            return []
        jobs = [child for child in node.called_descendants if isinstance(child, CalcJobNode)]
        return [job for job in sorted(jobs, key=lambda job: job.pk) if self.OUTPUTS[0] in job.outputs]

    def keeps_partial(self, node: ProcessNode) -> bool:
        """Say whether the frames of a chain that failed are good: those of an MD run that was cut off are."""
        return False
