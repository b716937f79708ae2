"""Three-phonon linewidths from phono3py, one irreducible grid point at a time.

phono3py's own driver runs a whole mesh or keeps its state in files. A job on a cluster must stop at any moment and
go on later, so the mesh is set up once and each grid point is a separate, repeatable calculation whose result the
caller stores.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from phono3py import Phono3py
from phono3py.conductivity.scattering_solvers import RTAScatteringSolver
from phonopy.phonon.grid import get_ir_grid_points, get_qpoints_from_bz_grid_points


class ThreePhononScattering:
    """Scattering of three phonons on a mesh (tetrahedron method), ready to be asked point by point.

    Sets the mesh of `phono3py` and solves the phonons on it; writes no file and prints nothing. Integration weights are
    averaged over degenerate bands (phono3py's ``average_degenerate_weights``), so that the linewidths depend on the
    force constants and the mesh only.

    Parameters
    ----------
    phono3py
        Object with second- and third-order force constants.
    mesh
        Divisions of the Gamma-centred mesh.
    temperatures
        Temperatures in K.

    Attributes
    ----------
    qpoints, weights
        Irreducible points in fractional coordinates [q, 3] and the mesh points each stands for [q].
    frequencies_thz
        Frequencies at these points [q, s].
    temperatures
        Temperatures in K [T].

    Raises
    ------
    ValueError
        If force constants are missing, or mesh or temperatures make no sense.
    """

    def __init__(self, phono3py: Phono3py, mesh: Sequence[int], temperatures: ArrayLike) -> None:
        self.temperatures: NDArray[np.float64] = np.atleast_1d(np.asarray(temperatures, dtype=float))
        if phono3py.fc2 is None or phono3py.fc3 is None:
            raise ValueError("the phono3py object lacks second- or third-order force constants: set fc2 and fc3")
        if self.temperatures.size == 0 or self.temperatures.min() <= 0:
            raise ValueError("temperatures must be positive, in K")
        if len(mesh) != 3 or min(mesh) < 1:
            raise ValueError(f"mesh must be three positive integers, not {tuple(mesh)}")
        phono3py.mesh_numbers = [int(n) for n in mesh]
        # phono3py prints a warning of its own when an acoustic frequency at Gamma is not zero; a library is silent.
        with contextlib.redirect_stdout(io.StringIO()):
            # Unaveraged, single linewidths of a symmetric crystal change by tens of per cent with the eigenvectors the
            # solver happens to return in degenerate subspaces, and a resumed run would not be the interrupted one.
            phono3py.init_phph_interaction(average_degenerate_weights=True)
        interaction = phono3py.phph_interaction
        interaction.nac_q_direction = None
        interaction.run_phonon_solver_at_gamma()
        interaction.run_phonon_solver()
        grid = interaction.bz_grid
        points, weights, _ = get_ir_grid_points(grid)
        self._grid_points = grid.grg2bzg[points]
        self.qpoints: NDArray[np.float64] = get_qpoints_from_bz_grid_points(self._grid_points, grid)
        self.weights: NDArray[np.float64] = weights.astype(float)
        self.frequencies_thz: NDArray[np.float64] = interaction.phonons.frequencies[self._grid_points].copy()
        self._solver = RTAScatteringSolver(interaction, sigmas=[None], temperatures=self.temperatures)

    def __len__(self) -> int:
        """Return the number of irreducible points."""
        return len(self._grid_points)

    def gamma_at(self, index: int) -> NDArray[np.float64]:
        """Half widths in THz [T, s] at one irreducible point (convention: `linewidths`)."""
        return self._solver.compute(int(self._grid_points[index])).gamma[0].copy()


def three_phonon_gamma(
    scattering: ThreePhononScattering,
    done: Mapping[int, ArrayLike] | None = None,
    progress: Callable[[int, int, NDArray[np.float64]], None] | None = None,
) -> NDArray[np.float64]:
    """Half widths in THz [T, q, s] of all irreducible points, going on from those already there.

    Parameters
    ----------
    scattering
        The mesh, set up.
    done
        Results of an earlier run: index of the irreducible point to [T, s]. They are taken over as they are.
    progress
        Called after each new point with its index, the number of points of the mesh and its result [T, s]; the place
        to store a checkpoint.
    """
    total = len(scattering)
    known = {} if done is None else {int(i): np.asarray(gamma, dtype=float) for i, gamma in done.items()}
    shape = (len(scattering.temperatures), scattering.frequencies_thz.shape[1])
    for index, stored in known.items():
        if not 0 <= index < total or stored.shape != shape:
            raise ValueError(
                f"stored linewidths of point {index} {stored.shape} do not fit this mesh of {total} points "
                f"with {shape} each: the checkpoint is from another calculation"
            )
    result = np.empty((shape[0], total, shape[1]))
    for index in range(total):
        if index in known:
            result[:, index] = known[index]
            continue
        result[:, index] = scattering.gamma_at(index)
        if progress is not None:
            progress(index, total, result[:, index])
    return result
