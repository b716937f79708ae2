// What a run hands back: rows of numbers, each kind at its own stride.
#pragma once

#include <cstdint>
#include <vector>

#include "iontherm/particles.hpp"

namespace iontherm {

// Steps between two rows, 0 for none. A row is due at steps origin + k stride.
struct Sampling {
    std::int64_t origin = 0;
    int positions = 0, snapshots = 0, velocities = 0, thermo = 0, currents = 0;
    std::vector<std::int32_t> position_atoms, velocity_atoms;

    bool due(int stride, std::int64_t step) const { return stride > 0 && (step - origin) % stride == 0; }
};

struct Samples {
    std::vector<double> positions, centres;           // of the chosen atoms [row, m, 3]; of mass [row, 3]
    std::vector<double> snapshots, snapshot_forces;   // [row, n, 3]
    std::vector<double> velocities;                   // of the chosen atoms [row, m, 3]
    std::vector<double> thermo;                       // [row, thermo_width]
    std::vector<double> currents;                     // [row, kind, species, 3], see add_currents
};

// Kinetic and potential energy, conserved energy, volume times stress (xx, yy, zz, yz, xz, xy; positive under tension).
constexpr int thermo_width = 9;

inline void add_thermo(std::vector<double>& rows, const Particles& p, double potential, const double* virial, double bath) {
    const double kinetic = p.kinetic();
    double stress[3][3];
    for (int a = 0; a < 3; ++a)
        for (int b = 0; b < 3; ++b) stress[a][b] = 0.5 * (virial[3 * a + b] + virial[3 * b + a]);
    for (std::size_t i = 0; i < p.size(); ++i) {
        const double* v = &p.velocities[3 * i];
        for (int a = 0; a < 3; ++a)
            for (int b = 0; b < 3; ++b) stress[a][b] -= p.masses[i] * v[a] * v[b];
    }
    rows.insert(rows.end(), {kinetic, potential, kinetic + potential + bath, stress[0][0], stress[1][1], stress[2][2], stress[1][2],
                             stress[0][2], stress[0][1]});
}

inline void add_atoms(std::vector<double>& rows, const std::vector<double>& values, const std::vector<std::int32_t>& atoms) {
    for (const std::int32_t i : atoms) rows.insert(rows.end(), values.begin() + 3 * i, values.begin() + 3 * i + 3);
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

}  // namespace iontherm
