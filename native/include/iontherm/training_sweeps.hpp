// Derivatives with respect to the parameters.
//
// The loss is quadratic in energies, forces and stresses, so its gradient is that of a weighted sum of them,
//     Q = w E + sum_j wF_j . F_j + wV : W,
// and the sum of forces is a derivative of the energy along the displacements -wF, that of stresses one along a strain:
// Q = w E + E-dot. One sweep forward with tangents and one backward yield dQ/d(parameters) at a small multiple of the cost
// of the energy, whatever the number of parameters.
#pragma once

#include "graph_sweeps.hpp"
#include "monomials.hpp"
#include "neighbourhood.hpp"

namespace iontherm {
namespace IONTHERM_ARCH {

// Monomials of one slot and their derivatives for directions u with derivatives v[d].
template <int n_directions>
inline void monomial_tangents(const Vec* u, const Vec (*v)[3], int degree, double* value, double* tangent) {
    store(value, broadcast(1.0));
    for (int d = 0; d < n_directions; ++d) store(tangent + d * lanes, Vec{});
    int previous = 0, next = 1;
    for (int n = 1; n <= degree; ++n) {
        const int below = n * (n + 1) / 2;
        int target = next;
        for (int axis = 0; axis < 3; ++axis) {
            const int first = axis == 0 ? 0 : axis == 1 ? below - n : below - 1;
            for (int q = first; q < below; ++q, ++target) {
                const Vec parent = load(value + (previous + q) * lanes);
                store(value + target * lanes, u[axis] * parent);
                for (int d = 0; d < n_directions; ++d)
                    store(tangent + (target * n_directions + d) * lanes,
                          v[d][axis] * parent + u[axis] * load(tangent + ((previous + q) * n_directions + d) * lanes));
            }
        }
        previous = next;
        next = target;
    }
}

// Displacements of the vectors to the neighbours along the tangent.
inline void displace(const GradientTask& task, const std::int32_t* centres, int n_slots, Scratch& s) {
    alignas(64) double own[3][lanes];
    for (int l = 0; l < lanes; ++l) {
        const std::int32_t i = centres[l] < 0 ? task.neighbours.n_atoms : centres[l];
        for (int a = 0; a < 3; ++a) own[a][l] = task.displacements[3 * static_cast<std::size_t>(i) + a];
    }
    const double* e = task.strain;
    for (int slot = 0; slot < n_slots; ++slot) {
        alignas(64) double other[3][lanes];
        for (int l = 0; l < lanes; ++l) {
            const double* v = task.displacements + 3 * static_cast<std::size_t>(s.owner[slot * lanes + l]);
            for (int a = 0; a < 3; ++a) other[a][l] = v[a];
        }
        const Vec x = load(s.x + slot * lanes), y = load(s.y + slot * lanes), z = load(s.z + slot * lanes);
        store(s.dx + slot * lanes, load(other[0]) - load(own[0]) + e[0] * x + e[3] * y + e[6] * z);
        store(s.dy + slot * lanes, load(other[1]) - load(own[1]) + e[1] * x + e[4] * y + e[7] * z);
        store(s.dz + slot * lanes, load(other[2]) - load(own[2]) + e[2] * x + e[5] * y + e[8] * z);
    }
}

// Direction u of a slot, the derivative of the distance and of the direction along its displacement.
inline Vec moving_direction(const Scratch& s, int slot, Vec* u, Vec (*v)[3]) {
    const double* unit = s.unit + slot * 3 * lanes;
    const Vec d[3] = {load(s.dx + slot * lanes), load(s.dy + slot * lanes), load(s.dz + slot * lanes)};
    for (int a = 0; a < 3; ++a) u[a] = load(unit + a * lanes);
    const Vec speed = u[0] * d[0] + u[1] * d[1] + u[2] * d[2];
    const Vec inverse = load(s.inverse_distance + slot * lanes);
    for (int a = 0; a < 3; ++a) v[0][a] = (d[a] - u[a] * speed) * inverse;
    return speed;
}

inline void gradient(const GradientTask& task) {
    Scratch s = task.scratch;
    const RadialView& radial = task.radial;
    const GraphView& graph = task.graph;
    const int m = radial.n_functions, size = radial.size;
    for (int group = task.first_group; group < task.last_group; ++group) {
        const std::int32_t* centres = task.neighbours.centres + static_cast<std::size_t>(group) * lanes;
        const int species = task.neighbours.group_species[group];
        const int n_slots = pack(task.neighbours, radial.cutoff, group, s);
        radial_functions(radial, species, s);
        displace(task, centres, n_slots, s);

        zero(s.moments, graph.n_basic);
        zero(s.tangent, graph.n_basic);
        for (int slot = 0; slot < n_slots; ++slot) {
            Vec u[3], v[1][3];
            const Vec speed = moving_direction(s, slot, u, v);
            monomial_tangents<1>(u, v, radial.max_degree, s.monomials, s.tangent_monomials);
            for (int mu = 0; mu < m; ++mu) {
                const Vec f = load(s.f + (static_cast<std::size_t>(slot) * m + mu) * lanes);
                const Vec df = speed * load(s.df + (static_cast<std::size_t>(slot) * m + mu) * lanes);
                double* moment = s.moments + static_cast<std::size_t>(radial.offset[mu]) * lanes;
                double* tangent = s.tangent + static_cast<std::size_t>(radial.offset[mu]) * lanes;
                const int count = monomials_up_to(radial.degree[mu]) * lanes;
                for (int k = 0; k < count; k += lanes) {
                    const Vec mono = load(s.monomials + k);
                    store(moment + k, load(moment + k) + f * mono);
                    store(tangent + k, load(tangent + k) + df * mono + f * load(s.tangent_monomials + k));
                }
            }
        }
        products(graph, s.moments);
        product_tangents<1>(graph, s.moments, s.tangent);
        // An empty lane has neither neighbours nor moments, so it adds nothing.
        for (int k = 0; k < graph.n_scalars; ++k) {
            double* out = task.moment_gradient + k * lanes;
            store(out, load(out) + task.energy_weight * load(s.moments + graph.scalars[k]) +
                           load(s.tangent + graph.scalars[k]));
        }
        tangent_adjoints(graph, task.energy_weight, s.moments, s.tangent, s.adjoint, s.tangent_adjoint);
        differentiate(radial, s.tangent_adjoint, graph.n_basic, s.adjoint_xyz);

        const std::size_t plane = static_cast<std::size_t>(graph.n_basic) * lanes;
        for (int t = 0; t < radial.n_species; ++t) {
            double* sums = task.radial_gradient + static_cast<std::size_t>(species * radial.n_species + t) * m * size * lanes;
            for (int slot = s.segments[t]; slot < s.segments[t + 1]; ++slot) {
                Vec u[3], v[1][3];
                const Vec speed = moving_direction(s, slot, u, v);
                monomials<1>(s.unit + slot * 3 * lanes, radial.max_degree, s.monomials);
                Vec basis[max_radial_size], slope[max_radial_size];
                radial_basis(radial, 1.0 / load(s.inverse_distance + slot * lanes), basis, slope);
                for (int mu = 0; mu < m; ++mu) {
                    const std::size_t first = static_cast<std::size_t>(radial.offset[mu]) * lanes;
                    const int lower = monomials_up_to(radial.degree[mu] - 1) * lanes;
                    const int all = monomials_up_to(radial.degree[mu]) * lanes;
                    const double *a = s.tangent_adjoint + first, *b = s.adjoint + first, *ax = s.adjoint_xyz + first;
                    Vec pa{}, pb{}, px{}, py{}, pz{};
                    for (int k = 0; k < all; k += lanes) {
                        const Vec mono = load(s.monomials + k);
                        pa += load(a + k) * mono;
                        pb += load(b + k) * mono;
                        if (k < lower) {
                            px += load(ax + k) * mono;
                            py += load(ax + plane + k) * mono;
                            pz += load(ax + 2 * plane + k) * mono;
                        }
                    }
                    const Vec on_value = pb + v[0][0] * px + v[0][1] * py + v[0][2] * pz;
                    const Vec on_slope = speed * pa;
                    double* out = sums + mu * size * lanes;
                    for (int k = 0; k < size; ++k)
                        store(out + k * lanes, load(out + k * lanes) + on_value * basis[k] + on_slope * slope[k]);
                }
            }
        }
    }
}

// dU_i/d(parameters), atom by atom: what the extrapolation grades are made of.
inline void atom_gradients(const AtomGradientTask& task) {
    Scratch s = task.scratch;
    const RadialView& radial = task.radial;
    const GraphView& graph = task.graph;
    const int m = radial.n_functions, size = radial.size;
    const std::size_t row = static_cast<std::size_t>(radial.n_species) * m * size;
    for (int group = task.first_group; group < task.last_group; ++group) {
        const std::int32_t* centres = task.neighbours.centres + static_cast<std::size_t>(group) * lanes;
        const int n_slots = pack(task.neighbours, radial.cutoff, group, s);
        radial_functions(radial, task.neighbours.group_species[group], s);
        elementary_moments(radial, graph.n_basic, n_slots, s);
        products(graph, s.moments);
        adjoints(graph, s.moments, s.adjoint);
        zero(task.accumulators, row);
        for (int t = 0; t < radial.n_species; ++t) {
            double* sums = task.accumulators + static_cast<std::size_t>(t) * m * size * lanes;
            for (int slot = s.segments[t]; slot < s.segments[t + 1]; ++slot) {
                monomials<1>(s.unit + slot * 3 * lanes, radial.max_degree, s.monomials);
                Vec basis[max_radial_size], slope[max_radial_size];
                radial_basis(radial, 1.0 / load(s.inverse_distance + slot * lanes), basis, slope);
                for (int mu = 0; mu < m; ++mu) {
                    const double* b = s.adjoint + static_cast<std::size_t>(radial.offset[mu]) * lanes;
                    const int all = monomials_up_to(radial.degree[mu]) * lanes;
                    Vec p{};
                    for (int k = 0; k < all; k += lanes) p += load(b + k) * load(s.monomials + k);
                    double* out = sums + mu * size * lanes;
                    for (int k = 0; k < size; ++k) store(out + k * lanes, load(out + k * lanes) + p * basis[k]);
                }
            }
        }
        for (int l = 0; l < lanes; ++l) {
            if (centres[l] < 0) continue;
            double* moments = task.moment_rows + static_cast<std::size_t>(centres[l]) * graph.n_scalars;
            for (int k = 0; k < graph.n_scalars; ++k)
                moments[k] = s.moments[graph.scalars[k] + l];
            double* radial_row = task.radial_rows + static_cast<std::size_t>(centres[l]) * row;
            for (std::size_t k = 0; k < row; ++k) radial_row[k] = task.accumulators[k * lanes + l];
        }
    }
}

// Subtract the derivatives of all scalars, tangent[scalar, direction, lane], from the force rows of the atoms they belong to.
inline void take_from_rows(const DesignTask& task, const double* tangent, const std::int32_t* owner) {
    const std::int32_t* scalars = task.graph.scalars;
    const int n = task.graph.n_scalars, nobody = task.neighbours.n_atoms;
    for (int a = 0; a < 3; ++a) {
        const double* from = tangent + a * lanes;
        double* rows[lanes];
        for (int l = 0; l < lanes; ++l)
            rows[l] = owner[l] == nobody ? nullptr : task.force_rows + (3 * static_cast<std::ptrdiff_t>(owner[l]) + a) * task.row_stride;
        int k = 0;
        // Four scalars of four lanes at a time: a lane's scalars are next to each other in its row.
        for (; lanes % 4 == 0 && k + 4 <= n; k += 4) {
            for (int h = 0; h < lanes; h += 4) {
                Row in[4], out[4];
                for (int q = 0; q < 4; ++q) in[q] = *reinterpret_cast<const Row*>(from + static_cast<std::ptrdiff_t>(scalars[k + q]) * 3 + h);
                transpose(in, out);
                for (int l = 0; l < 4; ++l)
                    if (rows[h + l]) *reinterpret_cast<AnyRow*>(rows[h + l] + k) -= out[l];
            }
        }
        for (; k < n; ++k)
            for (int l = 0; l < lanes; ++l)
                if (rows[l]) rows[l][k] -= from[static_cast<std::ptrdiff_t>(scalars[k]) * 3 + l];
    }
}

// Rows of the least-squares problem of the linear coefficients: derivatives of every basis scalar with respect to the
// positions of the neighbours, three directions of one slot at a time.
inline void design(const DesignTask& task) {
    Scratch s = task.scratch;
    const RadialView& radial = task.radial;
    const GraphView& graph = task.graph;
    const int m = radial.n_functions, n = graph.n_scalars;
    for (int group = task.first_group; group < task.last_group; ++group) {
        const std::int32_t* centres = task.neighbours.centres + static_cast<std::size_t>(group) * lanes;
        const int n_slots = pack(task.neighbours, radial.cutoff, group, s);
        radial_functions(radial, task.neighbours.group_species[group], s);
        elementary_moments(radial, graph.n_basic, n_slots, s);
        products(graph, s.moments);
        for (int k = 0; k < n; ++k) task.energy_row[k] += sum(load(s.moments + graph.scalars[k]));
        zero(task.centre_rows, static_cast<std::size_t>(n) * 3);
        for (int slot = 0; slot < n_slots; ++slot) {
            Vec u[3], v[3][3];
            const Vec inverse = load(s.inverse_distance + slot * lanes);
            for (int a = 0; a < 3; ++a) u[a] = load(s.unit + (slot * 3 + a) * lanes);
            for (int d = 0; d < 3; ++d)
                for (int a = 0; a < 3; ++a) v[d][a] = ((a == d ? 1.0 : 0.0) - u[a] * u[d]) * inverse;
            monomial_tangents<3>(u, v, radial.max_degree, s.monomials, s.tangent_monomials);
            for (int mu = 0; mu < m; ++mu) {
                const Vec f = load(s.f + (static_cast<std::size_t>(slot) * m + mu) * lanes);
                const Vec df = load(s.df + (static_cast<std::size_t>(slot) * m + mu) * lanes);
                double* tangent = s.tangent + static_cast<std::size_t>(radial.offset[mu]) * 3 * lanes;
                const int count = monomials_up_to(radial.degree[mu]);
                for (int k = 0; k < count; ++k) {
                    const Vec mono = df * load(s.monomials + k * lanes);
                    for (int d = 0; d < 3; ++d)
                        store(tangent + (k * 3 + d) * lanes, mono * u[d] + f * load(s.tangent_monomials + (k * 3 + d) * lanes));
                }
            }
            product_tangents<3>(graph, s.moments, s.tangent);
            const Vec x = load(s.x + slot * lanes), y = load(s.y + slot * lanes), z = load(s.z + slot * lanes);
            const std::int32_t* owner = s.owner + slot * lanes;
            for (int k = 0; k < n; ++k) {
                const double* d = s.tangent + static_cast<std::ptrdiff_t>(graph.scalars[k]) * 3;
                const Vec gx = load(d), gy = load(d + lanes), gz = load(d + 2 * lanes);
                double* centre = task.centre_rows + k * 3 * lanes;
                store(centre, load(centre) + gx);
                store(centre + lanes, load(centre + lanes) + gy);
                store(centre + 2 * lanes, load(centre + 2 * lanes) + gz);
                // Symmetric because an atom's scalars do not change when its neighbourhood turns.
                const Vec virial[6] = {x * gx, y * gy, z * gz, y * gz, x * gz, x * gy};
                for (int c = 0; c < 6; ++c) {
                    double* out = task.virial_rows + (static_cast<std::size_t>(c) * n + k) * lanes;
                    store(out, load(out) + virial[c]);
                }
            }
            take_from_rows(task, s.tangent, owner);
        }
        for (int l = 0; l < lanes; ++l) {
            if (centres[l] < 0) continue;
            double* rows = task.force_rows + 3 * centres[l] * task.row_stride;
            for (int a = 0; a < 3; ++a, rows += task.row_stride)
                for (int k = 0; k < n; ++k) rows[k] += task.centre_rows[(k * 3 + a) * lanes + l];
        }
    }
}

}  // namespace IONTHERM_ARCH
}  // namespace iontherm
