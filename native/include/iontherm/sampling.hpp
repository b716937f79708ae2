// What a run hands back: rows of numbers, each kind at its own stride.
#pragma once

#include <cstdint>
#include <vector>

#include "iontherm/particles.hpp"
#include "iontherm/slabs.hpp"

namespace iontherm {

// Steps between two rows, 0 for none. A row is due at steps origin + k stride.
struct Sampling {
    std::int64_t origin = 0;
    int positions = 0, snapshots = 0, velocities = 0, thermo = 0, currents = 0, profile = 0;
    std::vector<std::int32_t> position_atoms, velocity_atoms;
    Slabs slabs{0, 1};  // of the profile

    bool virials_due(std::int64_t step) const { return due(currents, step) || due(profile, step); }

    bool due(int stride, std::int64_t step) const { return stride > 0 && (step - origin) % stride == 0; }
};

struct Samples {
    std::vector<double> positions, centres;           // of the chosen atoms [row, m, 3]; of mass [row, 3]
    std::vector<double> position_cells;               // that the positions are in [row, 3, 3]
    std::vector<double> snapshots, snapshot_forces;   // [row, n, 3]
    std::vector<double> velocities;                   // of the chosen atoms [row, m, 3]
    std::vector<double> thermo, cells;                // [row, thermo_width]; [row, 3, 3]
    std::vector<double> currents;                     // [row, kind, species, 3], see add_currents
    std::vector<double> profile;                      // [row, slab, profile_width], see add_profile
};

// Kinetic and potential energy, conserved energy, volume times stress (xx, yy, zz, yz, xz, xy; positive under tension).
constexpr int thermo_width = 9;

inline void add_thermo(std::vector<double>& rows, const Particles& p, double potential, const double* virial, double bath) {
    const double kinetic = p.kinetic();
    const Matrix3 pressure = p.internal_pressure(virial);
    rows.insert(rows.end(), {kinetic, potential, kinetic + potential + bath, -pressure[0][0], -pressure[1][1], -pressure[2][2],
                             -pressure[1][2], -pressure[0][2], -pressure[0][1]});
}

inline void add_atoms(std::vector<double>& rows, const std::vector<double>& values, const std::vector<std::int32_t>& atoms) {
    for (const std::int32_t i : atoms) rows.insert(rows.end(), values.begin() + 3 * i, values.begin() + 3 * i + 3);
}

inline void add_cell(std::vector<double>& rows, const Cell& cell) {
    for (const Vector3& row : cell) rows.insert(rows.end(), row.begin(), row.end());
}

// Heat and mass currents of each species: sum_j W_j . v_j, sum_i E_i v_i and sum_i m_i v_i over its atoms. E_i is potential
// and kinetic energy of the atom, and W_j,ab = sum_i (r_i - r_j)_a dU_i/dr_j,b, so that the first two added over all
// species are the heat current of a many-body energy, exactly.
inline void add_currents(std::vector<double>& rows, const Particles& p, int n_species, const double* energies, const double* virials) {
    const std::size_t width = 3 * static_cast<std::size_t>(n_species), at = rows.size();
    rows.resize(at + 3 * width, 0.0);
    for (std::size_t i = 0; i < p.size(); ++i) {
        double* sums = &rows[at + 3 * static_cast<std::size_t>(p.species[i])];
        const double *v = &p.velocities[3 * i], *w = virials + 9 * i;
        const double energy = energies[i] + 0.5 * p.masses[i] * (v[0] * v[0] + v[1] * v[1] + v[2] * v[2]);
        for (int a = 0; a < 3; ++a) {
            sums[a] += w[3 * a] * v[0] + w[3 * a + 1] * v[1] + w[3 * a + 2] * v[2];
            sums[width + a] += energy * v[a];
            sums[2 * width + a] += p.masses[i] * v[a];
        }
    }
}

// Of each slab: number of atoms free to move, twice their kinetic energy, and both parts of the heat current along the axis
// (its Cartesian component normal to the slabs), as in add_currents.
constexpr int profile_width = 4;

inline void add_profile(std::vector<double>& rows, const Particles& p, const Slabs& slabs, const double* energies, const double* virials) {
    const std::size_t at = rows.size();
    rows.resize(at + static_cast<std::size_t>(slabs.count()) * profile_width, 0.0);
    const SlabFinder find = slabs.finder(p.cell);
    const Vector3 normal = find.normal();
    for (std::size_t i = 0; i < p.size(); ++i) {
        if (p.is_frozen(i)) continue;
        double* sums = &rows[at + static_cast<std::size_t>(find(&p.positions[3 * i])) * profile_width];
        const double *v = &p.velocities[3 * i], *w = virials + 9 * i;
        const double twice_kinetic = p.masses[i] * (v[0] * v[0] + v[1] * v[1] + v[2] * v[2]);
        sums[0] += 1.0;
        sums[1] += twice_kinetic;
        for (int a = 0; a < 3; ++a) {
            sums[2] += normal[a] * (w[3 * a] * v[0] + w[3 * a + 1] * v[1] + w[3 * a + 2] * v[2]);
            sums[3] += normal[a] * (energies[i] + 0.5 * twice_kinetic) * v[a];
        }
    }
}

}  // namespace iontherm
