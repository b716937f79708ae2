// Energies, forces and virials of one system, step after step: neighbour list, threads and memory are kept.
#pragma once

#include <memory>
#include <vector>

#include "iontherm/dispatch.hpp"
#include "iontherm/neighbour_list.hpp"
#include "iontherm/potential.hpp"
#include "iontherm/scratch.hpp"
#include "iontherm/threads.hpp"

namespace iontherm {

inline RunTask run_task(const Potential& potential, const NeighboursView& neighbours, const Scratch& scratch) {
    RunTask task{};
    task.radial = potential.radial();
    task.graph = potential.run_graph();
    task.neighbours = neighbours;
    task.scratch = scratch;
    task.species_coeffs = potential.species_coeffs().data();
    return task;
}

class Evaluator {
  public:
    Evaluator(std::shared_ptr<const Potential> potential, double skin, int n_threads)
        : potential_(std::move(potential)),
          sweeps_(potential_->basis().sweeps),
          list_(potential_->cutoff(), skin, potential_->n_species(), sweeps_.lanes),
          pool_(n_threads),
          memory_(n_threads),
          outputs_(n_threads) {}

    bool update(const double* positions, const std::int32_t* species, std::size_t n_atoms, const Cell& cell,
                const std::array<bool, 3>& periodic) {
        for (std::size_t i = 0; i < n_atoms; ++i)
            if (species[i] < 0 || species[i] >= potential_->n_species()) throw std::invalid_argument("an atom has a species that the potential does not know");
        return list_.update(positions, species, n_atoms, cell, periodic);
    }

    // forces [n, 3], virials [n, 9] or null, virial [9] overwritten. Returns the shortest distance, the cutoff if no
    // atom has a neighbour.
    double run(double* energies, double* forces, double* virials, double* virial) {
        const std::size_t n = list_.n_atoms();
        const int stride = virials ? 16 : 4, n_threads = pool_.size(), n_groups = list_.n_groups();
        const MomentGraph& graph = potential_->basis().run;
        pool_.run([&](int t) {
            Output& out = outputs_[t];
            out.energies.resize(n + 1);
            out.per_atom.resize((n + 1) * stride);
            std::fill(out.per_atom.data(), out.per_atom.data() + (n + 1) * stride, 0.0);
            std::fill(out.virial, out.virial + 9, 0.0);
            out.min_distance2 = potential_->cutoff() * potential_->cutoff();
            RunTask task = run_task(*potential_, list_.view(),
                                    memory_[t].prepare(potential_->radial(), graph.n_basic_nodes, graph.n_nodes,
                                                       list_.max_slots(), sweeps_.lanes, false));
            task.first_group = static_cast<int>(static_cast<long>(n_groups) * t / n_threads);
            task.last_group = static_cast<int>(static_cast<long>(n_groups) * (t + 1) / n_threads);
            task.stride = stride;
            task.energies = out.energies.data();
            task.per_atom = out.per_atom.data();
            task.virial = out.virial;
            task.min_distance2 = &out.min_distance2;
            sweeps_.run(task);
            // Each atom belongs to one group, so the energies need no sum.
            const NeighboursView view = task.neighbours;
            for (int k = task.first_group * sweeps_.lanes; k < task.last_group * sweeps_.lanes; ++k)
                if (view.centres[k] >= 0) energies[view.centres[k]] = out.energies.data()[view.centres[k]];
        });
        double nearest2 = potential_->cutoff() * potential_->cutoff();
        std::fill(virial, virial + 9, 0.0);
        for (const Output& out : outputs_) {
            nearest2 = std::min(nearest2, out.min_distance2);
            for (int c = 0; c < 9; ++c) virial[c] += out.virial[c];
        }
        // What the other threads found goes to the first one's sums, then out.
        double* sums = outputs_[0].per_atom.data();
        for (std::size_t t = 1; t < outputs_.size(); ++t) {
            const double* other = outputs_[t].per_atom.data();
            for (std::size_t k = 0; k < n * stride; ++k) sums[k] += other[k];
        }
        for (std::size_t i = 0; i < n; ++i, sums += stride) {
            for (int a = 0; a < 3; ++a) forces[3 * i + a] = sums[a];
            if (!virials) continue;
            for (int a = 0; a < 3; ++a)
                for (int b = 0; b < 3; ++b) virials[9 * i + 3 * a + b] = sums[4 * (a + 1) + b];
        }
        if (virials)
            for (std::size_t i = 0; i < n; ++i)
                for (int c = 0; c < 9; ++c) virial[c] -= virials[9 * i + c];
        return std::sqrt(nearest2);
    }

    // dU_i/d(coefficients): moments [n, s], radial [n, z, mu, k] of the pairs (species of i, z).
    void atom_gradients(double* moments, double* radial) {
        const MomentGraph& graph = potential_->basis().full;
        const std::size_t row = potential_->n_radial() / potential_->n_species();
        const int n_threads = pool_.size(), n_groups = list_.n_groups();
        pool_.run([&](int t) {
            AlignedArray accumulators;
            accumulators.resize(row * sweeps_.lanes);
            AtomGradientTask task{};
            task.radial = potential_->radial();
            task.graph = potential_->full_graph();
            task.neighbours = list_.view();
            task.scratch = memory_[t].prepare(task.radial, graph.n_basic_nodes, graph.n_nodes, list_.max_slots(), sweeps_.lanes, false);
            task.first_group = static_cast<int>(static_cast<long>(n_groups) * t / n_threads);
            task.last_group = static_cast<int>(static_cast<long>(n_groups) * (t + 1) / n_threads);
            task.moment_rows = moments;
            task.radial_rows = radial;
            task.accumulators = accumulators.data();
            sweeps_.atom_gradients(task);
        });
    }

    const Potential& potential() const { return *potential_; }
    NeighbourList& list() { return list_; }

  private:
    struct Output {
        AlignedArray energies, per_atom;
        double virial[9];
        double min_distance2;
    };

    std::shared_ptr<const Potential> potential_;
    const Sweeps& sweeps_;
    NeighbourList list_;
    ThreadPool pool_;
    std::vector<ScratchMemory> memory_;
    std::vector<Output> outputs_;
};

}  // namespace iontherm
