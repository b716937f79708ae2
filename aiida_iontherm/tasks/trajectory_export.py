"""Trajectories of all atoms for other programs, written as a run of the task ``md`` goes on.

Positions are in Angstrom, as the run made them: not wrapped into the cell, so that an ion can be followed, and with the
little that the crystal drifts as a whole, which `trajectory.npz` tells as ``drift``. At constant pressure every frame
has the cell of its step, and positions are scaled with it.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import h5py
import numpy as np
from ase import Atoms
from numpy.typing import DTypeLike

from aiida_iontherm import __version__
from aiida_iontherm.physics.dynamics.reducers import Reducer
from aiida_iontherm.tasks.files import written_whole


@dataclass(frozen=True, kw_only=True)
class ExportPlan:
    """When the frames are taken.

    Attributes
    ----------
    frames : int
        Of a run that does not break.
    first_step, stride : int
        Steps since the start of the run, equilibration included.
    timestep_fs : float
    cell_changes : bool
        True at constant pressure.
    """

    frames: int
    first_step: int
    stride: int
    timestep_fs: float
    cell_changes: bool = False

    def step(self, frame: int) -> int:
        """Step of the run at which a frame was taken."""
        return self.first_step + frame * self.stride


class TrajectoryExport(Reducer):
    """Appends every frame to a file; what a continued run will write again is cut off first.

    Parameters
    ----------
    path : Path
        Nothing is written there before the first frame.
    atoms : ase.Atoms
        The supercell at the start of the run.
    plan : ExportPlan
    """

    source = "mobile_positions"
    SUFFIX: ClassVar[str]
    BYTES_PER_ATOM: ClassVar[int]
    """Of one frame, for the plan of a run."""

    def __init__(self, path: Path, atoms: Atoms, plan: ExportPlan) -> None:
        self.path, self.atoms, self.plan = path, atoms, plan
        self._frames = 0
        self._ends: dict[str, int] = {}

    def add(self, frames: np.ndarray) -> None:
        """Write the next frames [n, N, 3], in the cell at the start of the run."""
        self.add_in_cells(frames, np.broadcast_to(self.atoms.cell.array, (len(frames), 3, 3)))

    def add_in_cells(self, frames: np.ndarray, cells: np.ndarray) -> None:
        """Write the next frames [n, N, 3] with their cells [n, 3, 3]."""
        if not len(frames):
            return
        if not self._frames:
            self._ends = self._begin()
        with self.path.open("r+b") as stream:
            for part, content in self._encode(frames, cells).items():
                stream.seek(self._ends[part])
                stream.write(content)
                self._ends[part] += len(content)
            self._cut(stream)
        self._frames += len(frames)

    def results(self) -> dict[str, np.ndarray]:
        """Nothing beside the file."""
        return {}

    def state(self) -> dict[str, np.ndarray]:
        """How many frames there are and where in the file the parts of the last one end."""
        return {"frames": np.array(self._frames)} | {part: np.array(end) for part, end in self._ends.items()}

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Continue behind the frames of an interrupted run.

        Raises
        ------
        ValueError
            If its file is not there, or is shorter than it was.
        """
        self._ends = {part: int(end) for part, end in arrays.items()}
        self._frames = self._ends.pop("frames")
        if self._frames and (not self.path.is_file() or self.path.stat().st_size < max(self._ends.values())):
            raise ValueError(
                f"{self.path.name} of the interrupted run is missing or cut off: put it beside checkpoint.npz, or "
                "remove checkpoint.npz to start afresh"
            )

    def finish(self) -> None:
        """Complete the file when the run has ended, maybe before its time."""

    @abstractmethod
    def _begin(self) -> dict[str, int]:
        """Make the file anew and return where the parts of the first frame go, by their names."""

    @abstractmethod
    def _encode(self, positions: np.ndarray, cells: np.ndarray) -> dict[str, bytes]:
        """Frames [n, N, 3] in their cells [n, 3, 3] as they stand in the file, by parts."""

    def _cut(self, stream: Any) -> None:
        """Drop what is behind the frame just written: an interrupted run may have been further."""
        stream.truncate()


class TextTrajectory(TrajectoryExport):
    """Frame behind frame, with a line for each atom."""

    _lines: str
    """Of all atoms of a frame, with a place for each coordinate."""

    @abstractmethod
    def _encode_frame(self, step: int, positions: np.ndarray, cell: np.ndarray) -> str:
        """Text of positions [N, 3] in a cell [3, 3]."""

    def _begin(self) -> dict[str, int]:
        self.path.write_bytes(b"")
        return {"text": 0}

    def _encode(self, positions: np.ndarray, cells: np.ndarray) -> dict[str, bytes]:
        frames = enumerate(zip(positions, cells, strict=True), start=self._frames)
        text = "".join(self._encode_frame(self.plan.step(frame), *content) for frame, content in frames)
        return {"text": text.encode()}

    def _rows(self, positions: np.ndarray) -> str:
        return self._lines % tuple(positions.ravel().tolist())


class ExtendedXyz(TextTrajectory):
    """Text that ASE, OVITO and most viewers read; a comment line tells cell, step and time."""

    SUFFIX = "extxyz"
    BYTES_PER_ATOM = 34

    def __init__(self, path: Path, atoms: Atoms, plan: ExportPlan) -> None:
        super().__init__(path, atoms, plan)
        self._lines = "".join(f"{symbol:2s} %.6f %.6f %.6f\n" for symbol in atoms.get_chemical_symbols())

    def _encode_frame(self, step: int, positions: np.ndarray, cell: np.ndarray) -> str:
        lattice = " ".join(f"{x:.10g}" for x in cell.ravel().tolist())
        comment = f'Lattice="{lattice}" Properties=species:S:1:pos:R:3 pbc="T T T"'
        time_ps = step * self.plan.timestep_fs / 1000
        return f"{len(positions)}\n{comment} step={step} time_ps={time_ps:.10g}\n{self._rows(positions)}"


class LammpsDump(TextTrajectory):
    """Text of LAMMPS's ``dump custom`` with the columns ``id type element xu yu zu``.

    LAMMPS wants the first cell vector along x and the second in the plane of x and y. Another cell is turned so, and
    the positions with it, each frame for itself.
    """

    SUFFIX = "lammpstrj"
    BYTES_PER_ATOM = 40

    def __init__(self, path: Path, atoms: Atoms, plan: ExportPlan) -> None:
        super().__init__(path, atoms, plan)
        symbols = atoms.get_chemical_symbols()
        types = {symbol: number for number, symbol in enumerate(sorted(set(symbols)), start=1)}
        self._lines = "".join(
            f"{number} {types[symbol]} {symbol} %.6f %.6f %.6f\n" for number, symbol in enumerate(symbols, start=1)
        )

    def _encode_frame(self, step: int, positions: np.ndarray, cell: np.ndarray) -> str:
        turned = cell
        if np.any(np.triu(cell, 1)) or np.diag(cell).min() <= 0:
            turned = np.linalg.cholesky(cell @ cell.T)
        rows = self._rows(positions @ np.linalg.solve(cell, turned))
        return (
            f"ITEM: TIMESTEP\n{step}\nITEM: NUMBER OF ATOMS\n{len(positions)}\n{_box_bounds(turned)}"
            f"ITEM: ATOMS id type element xu yu zu\n{rows}"
        )


def _box_bounds(cell: np.ndarray) -> str:
    """Box of a lower triangular cell; bounds enclose the tilted box, as LAMMPS writes them."""
    (lx, _, _), (xy, ly, _), (xz, yz, lz) = cell.tolist()
    if not (xy or xz or yz):
        sides = "".join(f"0 {side:.10g}\n" for side in (lx, ly, lz))
        return f"ITEM: BOX BOUNDS pp pp pp\n{sides}"
    x = (0.0, xy, xz, xy + xz)
    rows = (
        (min(x), lx + max(x), xy),
        (min(0.0, yz), ly + max(0.0, yz), xz),
        (0.0, lz, yz),
    )
    lines = "".join(f"{low:.10g} {high:.10g} {tilt:.10g}\n" for low, high, tilt in rows)
    return f"ITEM: BOX BOUNDS xy xz yz pp pp pp\n{lines}"


class Hdf5(TrajectoryExport):
    """HDF5 by the conventions of H5MD 1.1, positions in single precision.

    The file has its full length from the beginning, positions in one piece and changing cells in another, and each
    block of a run goes straight to its place there. So a run that is killed while it writes leaves a file that can be
    read and gone on with, which HDF5 does not promise for files that grow.
    """

    SUFFIX = "h5"
    BYTES_PER_ATOM = 12

    def finish(self) -> None:
        """Leave out the frames that a run that broke has not made."""
        if not 0 < self._frames < self.plan.frames:
            return
        with h5py.File(self.path) as whole:
            positions = whole["particles/all/position/value"][: self._frames]
            cells = whole["particles/all/box/edges/value"][: self._frames] if self.plan.cell_changes else None
        self._write(self._frames, positions, cells)

    def _begin(self) -> dict[str, int]:
        return self._write(self.plan.frames)

    def _encode(self, positions: np.ndarray, cells: np.ndarray) -> dict[str, bytes]:
        content = {"positions": positions.astype("<f4").tobytes()}
        if self.plan.cell_changes:
            content["cells"] = cells.astype("<f8").tobytes()
        return content

    def _cut(self, stream: Any) -> None:
        # The length stays; frames behind are written over.
        pass

    def _write(
        self, frames: int, positions: np.ndarray | None = None, cells: np.ndarray | None = None
    ) -> dict[str, int]:
        """Write a whole file, positions and changing cells now or later; return where these are."""
        steps = self.plan.step(0) + self.plan.stride * np.arange(frames)
        with written_whole(self.path) as temporary, h5py.File(temporary, "w", libver="earliest") as file:
            h5md = file.create_group("h5md")
            h5md.attrs["version"] = np.array([1, 1], dtype=np.int32)
            h5md.create_group("author").attrs["name"] = "unknown"
            creator = h5md.create_group("creator")
            creator.attrs["name"], creator.attrs["version"] = "aiida-iontherm", __version__
            particles = file.create_group("particles/all")
            box = particles.create_group("box")
            box.attrs["dimension"] = 3
            box.attrs["boundary"] = np.array([b"periodic"] * 3)
            if not self.plan.cell_changes:
                box["edges"] = self.atoms.cell.array
                box["edges"].attrs["unit"] = "Angstrom"
            particles["species"] = self.atoms.numbers.astype(np.int32)
            position = particles.create_group("position")
            position["step"] = steps
            position["time"] = steps * (self.plan.timestep_fs / 1000)
            position["time"].attrs["unit"] = "ps"
            places = {"positions": _frames_in_place(position, (frames, len(self.atoms), 3), np.float32, positions)}
            if self.plan.cell_changes:
                edges = box.create_group("edges")
                # H5MD asks for the same datasets, not for equal ones.
                edges["step"], edges["time"] = position["step"], position["time"]
                places["cells"] = _frames_in_place(edges, (frames, 3, 3), np.float64, cells)
            return places


def _frames_in_place(
    element: h5py.Group, shape: tuple[int, ...], precision: DTypeLike, frames: np.ndarray | None
) -> int:
    """Make the dataset of an element's frames in Angstrom, filled now or later; return where it lies in the file.

    It is in one piece, whose place is settled though nothing may have been written there.
    """
    layout = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    layout.set_layout(h5py.h5d.CONTIGUOUS)
    layout.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    layout.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    layout.set_obj_track_times(False)
    kind, space = h5py.h5t.py_create(np.dtype(precision).newbyteorder("<")), h5py.h5s.create_simple(shape)
    value = h5py.Dataset(h5py.h5d.create(element.id, b"value", kind, space, layout))
    value.attrs["unit"] = "Angstrom"
    if frames is not None:
        value[:] = frames
    return value.id.get_offset()


FORMATS: dict[str, type[TrajectoryExport]] = {"extxyz": ExtendedXyz, "lammps-dump": LammpsDump, "hdf5": Hdf5}


def export_files(formats: Sequence[str], replicas: int = 1) -> dict[str, str]:
    """Names of the files of a run, by names that are identifiers: ``extxyz``, of the second replica ``extxyz_1``."""
    return {
        _numbered(name.replace("-", "_"), replica): f"{_numbered('trajectory', replica)}.{FORMATS[name].SUFFIX}"
        for name in formats
        for replica in range(replicas)
    }


def _numbered(name: str, replica: int) -> str:
    return f"{name}_{replica}" if replica else name


def make_exports(
    folder: Path, formats: Sequence[str], atoms: Atoms, plan: ExportPlan, replica: int = 0
) -> dict[str, TrajectoryExport]:
    """Sinks of one run, by names for its reducers."""
    return {
        f"export-{name}": FORMATS[name](
            folder / f"{_numbered('trajectory', replica)}.{FORMATS[name].SUFFIX}", atoms, plan
        )
        for name in formats
    }
