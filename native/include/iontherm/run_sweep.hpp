// Energies, forces, virials: one sweep forward and one back for each group of atoms, no Jacobian kept.
#pragma once

#include "graph_sweeps.hpp"
#include "monomials.hpp"
#include "neighbourhood.hpp"

namespace iontherm {
namespace IONTHERM_ARCH {

struct GroupSums {
    Vec force[3];     // on the centres
    Vec virial[3][3]; // sum_j (r_j - r_i)_a dU_i/dr_j,b, unless it is kept atom by atom
};

// Hand dU_i/dr_j of one slot to atom j (force, and virial if wanted) and to the sums of the group.
template <bool virials>
inline void scatter(const RunTask& task, const Scratch& s, int slot, const Vec* gradient, GroupSums& sums) {
    const std::int32_t* owner = s.owner + slot * lanes;
    const Vec d[3] = {load(s.x + slot * lanes), load(s.y + slot * lanes), load(s.z + slot * lanes)};
    for (int a = 0; a < 3; ++a) sums.force[a] += gradient[a];
    if (!virials)
        for (int a = 0; a < 3; ++a)
            for (int b = 0; b < 3; ++b) sums.virial[a][b] += d[a] * gradient[b];
    alignas(64) double g[3][lanes], r[3][lanes];
    for (int a = 0; a < 3; ++a) {
        store(g[a], gradient[a]);
        if (virials) store(r[a], d[a]);
    }
    for (int l = 0; l < lanes; ++l) {
        const Row row = {g[0][l], g[1][l], g[2][l], 0.0};
        Row* out = reinterpret_cast<Row*>(task.per_atom) + static_cast<std::size_t>(owner[l]) * (virials ? 4 : 1);
        if constexpr (virials) {
            subtract_multiples(out, r[0][l], r[1][l], r[2][l], row);  // (r_i - r_j)_a dU_i/dr_j,b, hence the sign
        } else {
            out[0] -= row;
        }
    }
}

template <bool virials, int block>
inline void pair_block(const RunTask& task, Scratch& s, int slot, GroupSums& sums) {
    Vec gradient[block][3];
    pair_gradients<block>(task.radial, task.graph.n_basic, slot, s, gradient);
    for (int b = 0; b < block; ++b) scatter<virials>(task, s, slot + b, gradient[b], sums);
}

template <bool virials>
inline void run_groups(const RunTask& task) {
    Scratch s = task.scratch;
    // A block of slots shares the loads of the adjoints; sixteen registers (AVX2 and below) hold half as many sums.
    constexpr int block = lanes >= 8 ? 4 : 2;
    Vec total[3][3];
    for (int a = 0; a < 3; ++a)
        for (int b = 0; b < 3; ++b) total[a][b] = Vec{};
    for (int group = task.first_group; group < task.last_group; ++group) {
        const std::int32_t* centres = task.neighbours.centres + static_cast<std::size_t>(group) * lanes;
        const int species = task.neighbours.group_species[group];
        const int n_slots = pack(task.neighbours, task.radial.cutoff, group, s);
        const Vec nearest2 = radial_functions(task.radial, species, s);
        for (int l = 0; l < lanes; ++l)
            if (nearest2[l] < *task.min_distance2) *task.min_distance2 = nearest2[l];
        elementary_moments(task.radial, task.graph.n_basic, n_slots, s);
        products(task.graph, s.moments);
        const Vec energy = energies_and_adjoints(task.graph, s.moments, s.adjoint);
        differentiate(task.radial, s.adjoint, task.graph.n_basic, s.adjoint_xyz);
        GroupSums sums;
        for (int a = 0; a < 3; ++a) {
            sums.force[a] = Vec{};
            for (int b = 0; b < 3; ++b) sums.virial[a][b] = Vec{};
        }
        int slot = 0;
        for (; slot + block <= n_slots; slot += block) pair_block<virials, block>(task, s, slot, sums);
        if (block == 4 && n_slots - slot >= 2) {
            pair_block<virials, 2>(task, s, slot, sums);
            slot += 2;
        }
        if (slot < n_slots) pair_block<virials, 1>(task, s, slot, sums);
        for (int l = 0; l < lanes; ++l) {
            const std::int32_t i = centres[l] < 0 ? task.neighbours.n_atoms : centres[l];
            task.energies[i] = energy[l] + task.species_coeffs[species];
            double* out = task.per_atom + static_cast<std::size_t>(i) * task.stride;
            for (int a = 0; a < 3; ++a) out[a] += sums.force[a][l];
        }
        for (int a = 0; a < 3; ++a)
            for (int b = 0; b < 3; ++b) total[a][b] += sums.virial[a][b];
    }
    for (int a = 0; a < 3; ++a)
        for (int b = 0; b < 3; ++b) task.virial[3 * a + b] += sum(total[a][b]);
}

inline void run(const RunTask& task) {
    if (task.stride == 16) {
        run_groups<true>(task);
    } else {
        run_groups<false>(task);
    }
}

}  // namespace IONTHERM_ARCH
}  // namespace iontherm
