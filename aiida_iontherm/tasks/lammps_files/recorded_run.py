"""A run that LAMMPS made, taken up block by block from what it wrote, as if the atoms were moved here."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np
from ase import Atoms

from aiida_iontherm.physics.dynamics import MdSettings
from aiida_iontherm.physics.dynamics.blocks import BlockedRun
from aiida_iontherm.physics.dynamics.reducers import Reducer
from aiida_iontherm.tasks.lammps_files.axes import LammpsAxes
from aiida_iontherm.tasks.lammps_files.data import ANGSTROM_PER_PS
from aiida_iontherm.tasks.lammps_files.dumps import DumpFile, DumpFrame
from aiida_iontherm.tasks.lammps_files.heat_exchange import VALUES
from aiida_iontherm.tasks.lammps_files.layout import (
    COLUMNS,
    PRODUCTION,
    Place,
    dump_name,
    last_restart,
    series_name,
)
from aiida_iontherm.tasks.lammps_files.series import ProfileFile, SeriesFile

PRESSURE = 1.6021765e6
"""bar in an eV/Angstrom^3, as units metal of LAMMPS have it."""


class RecordedRun(BlockedRun):
    """One run of LAMMPS, reduced and stored as those of the compiled loop are.

    Blocks are read in their order from the folders that `follow` names; positions and vectors are turned back into the
    axes of the crystal.

    Parameters
    ----------
    atoms : ase.Atoms
        Start positions; the start velocities drawn here are those LAMMPS begins with.
    settings : MdSettings
    mobile : int array [m]
        Indices of the ions whose unwrapped positions are stored.
    species : sequence of str
        Elements of the currents, in their order.
    frozen : int array, optional
        Indices of atoms that are held.
    reducers : mapping of str to Reducer, optional
    discard : set of str, optional
        As `BlockedRun`.

    Attributes
    ----------
    axes : LammpsAxes
    current_species : tuple of str
    frozen : int array
    """

    def __init__(
        self,
        atoms: Atoms,
        settings: MdSettings,
        mobile: np.ndarray,
        species: Sequence[str],
        *,
        frozen: np.ndarray | None = None,
        reducers: Mapping[str, Reducer] | None = None,
        discard: Collection[str] = (),
    ) -> None:
        currents, exchange = (settings.current_stride, (len(species), 3)), settings.heat_exchange
        super().__init__(
            atoms,
            settings,
            mobile,
            None,
            frozen=frozen,
            reducers=reducers,
            discard=discard,
            series={
                "cells": (settings.thermo_stride, (3, 3)),
                "heat_virial": currents,
                "heat_convective": currents,
                "mass_currents": currents,
                **({} if exchange is None else {"profile": (settings.block_steps, (exchange.slabs, len(VALUES)))}),
            },
        )
        self.atoms.set_constraint()
        self.axes = LammpsAxes.of(atoms.cell.array)
        self.current_species = tuple(species)
        symbols = np.array(atoms.get_chemical_symbols())
        self._masses_of_species = np.array([atoms.get_masses()[symbols == symbol][0] for symbol in species])
        self.frozen = np.empty(0, dtype=int) if frozen is None else frozen
        self._free_degrees = 3 * (len(atoms) - len(self.frozen)) - (0 if len(self.frozen) else 3)
        self._folder: Path | None = None
        self._dumps: dict[str, DumpFile] = {}
        self._series: dict[str, SeriesFile] = {}
        self._energy = np.full(4, np.nan)

    def follow(self, folder: Path) -> None:
        """Take the next blocks from the files in a folder, as far as the state that LAMMPS last wrote there."""
        self._folder, self._dumps, self._series = folder, {}, {}

    @property
    def blocks_at_hand(self) -> int:
        """Number of blocks, of the whole run, up to which the folder reaches."""
        return 0 if self._folder is None else last_restart(self._folder, self.settings)

    @property
    def place(self) -> Place:
        """Where the run goes on."""
        return Place.at(self.block, self.settings)

    @property
    def energy_sum(self) -> float:
        """Sum of the total energies (eV) at the ends of the blocks in the second half of the equilibration."""
        blocks = self.settings.equilibration_blocks
        return float(self._record["thermo"][blocks // 2 : blocks, 3].sum())

    def _begin_block(self, *, thermostat: bool) -> None:
        # LAMMPS did.
        pass

    def _set_energy_to_equilibrium(self) -> None:
        # The input of LAMMPS says so.
        pass

    def _advance(self, step: int, steps: int) -> None:
        upto = Place.at(self.block, self.settings)
        phase, before, after = upto.phase, upto.step, upto.step + steps
        (state,) = self._frames(phase, "state", before, after, steps)
        self.atoms.cell[:] = self.axes.back(state.cell)
        self.atoms.positions = self.axes.back(state.rows[:, :3])
        velocities = self.axes.back(state.rows[:, 3:]) / ANGSTROM_PER_PS
        self.atoms.set_momenta(self.atoms.get_masses()[:, None] * velocities, apply_constraint=False)
        (self._energy,) = self._rows(phase, "energies", 4, before, after, steps)
        if phase == PRODUCTION:
            self._store(before, after)

    def _store(self, before: int, after: int) -> None:
        settings, axes = self.settings, self.axes
        if settings.position_stride:
            frames = self._frames(PRODUCTION, "positions", before, after, settings.position_stride)
            positions = axes.back(_stacked([frame.rows for frame in frames], len(self.atoms)))
            masses = self.atoms.get_masses()
            centres = np.einsum("i,fia->fa", masses / masses.sum(), positions)
            cells = (
                axes.back(np.array([frame.cell for frame in frames]).reshape(-1, 3, 3))
                if settings.ensemble == "npt"
                else None
            )
            wanted = slice(None) if "mobile_positions" in self._reduced else self._mobile
            self._store_positions(positions[:, wanted], centres, cells)
        if settings.velocity_stride:
            frames = self._frames(PRODUCTION, "velocities", before, after, settings.velocity_stride)
            velocities = axes.back(_stacked([frame.rows for frame in frames], len(self.atoms)))
            if len(velocities) and "velocities" in self._reduced:
                self._offer("velocities", velocities)
            self._keep("velocities", velocities.astype(np.float32))
        if settings.snapshot_stride:
            frames = self._frames(PRODUCTION, "snapshots", before, after, settings.snapshot_stride)
            self._keep("snapshots", axes.back(_stacked([frame.rows[:, :3] for frame in frames], len(self.atoms))))
            self._keep("snapshot_forces", axes.back(_stacked([frame.rows[:, 3:] for frame in frames], len(self.atoms))))
        if settings.thermo_stride:
            sides = self._rows(PRODUCTION, "cells", 6, before, after, settings.thermo_stride)
            self._record.extend("cells", axes.back(_cells(sides)))
        if settings.current_stride:
            self._store_currents(before, after)
        if settings.heat_exchange is not None:
            self._store_profile(settings.heat_exchange.slabs, before, after)

    def _store_currents(self, before: int, after: int) -> None:
        """Split what ``compute heat/flux`` says: in all, convective; and sums of velocities into momenta."""
        count = len(self.current_species)
        rows = self._rows(PRODUCTION, "currents", 9 * count, before, after, self.settings.current_stride)
        whole, convective, velocity = np.moveaxis(self.axes.back(rows.reshape(-1, count, 3, 3)), 2, 0)
        self._record.extend("heat_virial", whole - convective)
        self._record.extend("heat_convective", convective)
        self._record.extend("mass_currents", velocity * self._masses_of_species[:, None])

    def _store_profile(self, slabs: int, before: int, after: int) -> None:
        """Virials come in bar Angstrom^3."""
        name = series_name(PRODUCTION, "profile")
        if name not in self._series:
            self._series[name] = ProfileFile(self._path(name), slabs, len(VALUES))
        tables = self._series[name].between(before, after)
        _check_complete(name, len(tables), before, after, self.settings.block_steps)
        self._record.extend("profile", tables / [1.0, 1.0, PRESSURE, 1.0])

    def _frames(self, phase: str, what: str, before: int, after: int, stride: int) -> list[DumpFrame]:
        name = dump_name(phase, what)
        if name not in self._dumps:
            self._dumps[name] = DumpFile(self._path(name), len(self.atoms), COLUMNS[what])
        frames = self._dumps[name].between(before, after)
        _check_complete(name, len(frames), before, after, stride)
        return frames

    def _rows(self, phase: str, what: str, width: int, before: int, after: int, stride: int) -> np.ndarray:
        name = series_name(phase, what)
        if name not in self._series:
            self._series[name] = SeriesFile(self._path(name), width)
        rows = self._series[name].between(before, after)
        _check_complete(name, len(rows), before, after, stride)
        return rows

    def _path(self, name: str) -> Path:
        if self._folder is None:
            raise ValueError("name the folder to follow first")
        return self._folder / name

    def _potential_energy_and_pressure(self) -> tuple[float, float]:
        volume = float(self.atoms.cell.volume)
        kinetic = 2 / 3 * self.atoms.get_kinetic_energy() / volume
        return float(self._energy[0]), float(self._energy[1:].mean()) / PRESSURE + kinetic

    @property
    def _degrees(self) -> int:
        return self._free_degrees


def _check_complete(name: str, count: int, before: int, after: int, stride: int) -> None:
    expected = after // stride - before // stride
    if count != expected:
        raise ValueError(
            f"{name} has {count} instead of {expected} frames between steps {before} and {after}: it was cut off, by a "
            "full disk perhaps, or belongs to another run; start afresh in an empty folder"
        )


def _stacked(frames: Sequence[np.ndarray], atoms: int) -> np.ndarray:
    return np.array(frames).reshape(len(frames), atoms, 3)


def _cells(sides: np.ndarray) -> np.ndarray:
    """Cells [n, 3, 3] from lx, ly, lz, xy, xz, yz [n, 6]."""
    cells = np.zeros((len(sides), 3, 3))
    for column, (row, axis) in enumerate([(0, 0), (1, 1), (2, 2), (1, 0), (2, 0), (2, 1)]):
        cells[:, row, axis] = sides[:, column]
    return cells
