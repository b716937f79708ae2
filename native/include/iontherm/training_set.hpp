// A fixed list of configurations: energies, forces and stresses of all of them, and what a fit needs beside.
//
// Threads take blocks of configurations. The blocks do not depend on the number of threads and their sums are added in
// order, so a fit gives the same numbers on any number of threads.
#pragma once

#include <atomic>
#include <memory>
#include <vector>

#include "iontherm/evaluator.hpp"

namespace iontherm {

class TrainingSet {
  public:
    // For potentials with the cutoff, the species and the basis of this one.
    TrainingSet(const Potential& potential, int n_threads)
        : cutoff_(potential.cutoff()), n_species_(potential.n_species()), sweeps_(potential.basis().sweeps), pool_(n_threads), memory_(n_threads) {}

    void add(const double* positions, const std::int32_t* species, std::size_t n_atoms, const Cell& cell, const std::array<bool, 3>& periodic) {
        for (std::size_t i = 0; i < n_atoms; ++i)
            if (species[i] < 0 || species[i] >= n_species_) throw std::invalid_argument("an atom has a species that the potential does not know");
        NeighbourList list(cutoff_, 0.0, n_species_, sweeps_.lanes);
        list.update(positions, species, n_atoms, cell, periodic);
        if (list.has_coincident_points()) throw std::invalid_argument("two atoms are at the same place: the energy of a potential has no meaning there");
        list.freeze();
        lists_.push_back(std::move(list));
        offsets_.push_back(offsets_.back() + n_atoms);
    }

    std::size_t size() const { return lists_.size(); }
    const std::vector<std::size_t>& offsets() const { return offsets_; }

    // energies [k], forces [all atoms, 3], virials [k, 9] = sum_ij (r_j - r_i)_a dU_i/dr_j,b; with a species, what the
    // energies U_i of its atoms alone contribute to them.
    void predict(const Potential& potential, double* energies, double* forces, double* virials, int species = -1) {
        check(potential);
        const MomentGraph& graph = potential.basis().run;
        over_configurations(0, size(), [&](int t, std::size_t k) {
            const NeighbourList& list = lists_[k];
            const std::size_t n = list.n_atoms();
            Memory& memory = memory_[t];
            memory.energies.resize(n + 1);
            memory.per_atom.resize(4 * (n + 1));
            std::fill(memory.per_atom.data(), memory.per_atom.data() + 4 * (n + 1), 0.0);
            std::fill(memory.energies.data(), memory.energies.data() + n + 1, 0.0);
            RunTask task = run_task(potential, list.view(), scratch(potential, graph, list, t, false));
            double nearest2 = cutoff_ * cutoff_;
            const std::array<int, 2> groups = species < 0 ? std::array<int, 2>{0, list.n_groups()} : list.groups_of(species);
            task.first_group = groups[0];
            task.last_group = groups[1];
            task.stride = 4;
            task.energies = memory.energies.data();
            task.per_atom = memory.per_atom.data();
            task.virial = virials + 9 * k;
            std::fill(task.virial, task.virial + 9, 0.0);
            task.min_distance2 = &nearest2;
            sweeps_.run(task);
            double energy = 0.0;
            for (std::size_t i = 0; i < n; ++i) energy += memory.energies.data()[i];
            energies[k] = energy;
            for (std::size_t i = 0; i < n; ++i)
                std::copy(memory.per_atom.data() + 4 * i, memory.per_atom.data() + 4 * i + 3, forces + 3 * (offsets_[k] + i));
        });
    }

    // Gradient of  sum_k wE_k E_k + sum wF . F + sum wV : W  with respect to moment [s] and radial [z, z, mu, k]
    // coefficients; that of the species' energies needs no sweep. Virial weights are symmetric.
    void gradient(const Potential& potential, const double* energy_weights, const double* force_weights,
                  const double* virial_weights, double* moments, double* radial) {
        check(potential);
        const MomentGraph& graph = potential.basis().full;
        const std::size_t n_scalars = potential.n_scalars(), n_radial = potential.n_radial(), w = sweeps_.lanes;
        const std::size_t n_blocks = std::min<std::size_t>(size(), 64);
        std::vector<double> sums(n_blocks * (n_scalars + n_radial), 0.0);
        over_blocks(n_blocks, [&](int t, std::size_t block) {
            Memory& memory = memory_[t];
            memory.moments.resize(n_scalars * w);
            memory.radial.resize(n_radial * w);
            std::fill(memory.moments.data(), memory.moments.data() + n_scalars * w, 0.0);
            std::fill(memory.radial.data(), memory.radial.data() + n_radial * w, 0.0);
            for (std::size_t k = size() * block / n_blocks; k < size() * (block + 1) / n_blocks; ++k) {
                const NeighbourList& list = lists_[k];
                const std::size_t n = list.n_atoms();
                // F_j = -dE/dr_j: the weighted sum of forces is the derivative of E along -wF.
                memory.per_atom.resize(3 * (n + 1));
                double* v = memory.per_atom.data();
                for (std::size_t i = 0; i < 3 * n; ++i) v[i] = -force_weights[3 * offsets_[k] + i];
                std::fill(v + 3 * n, v + 3 * (n + 1), 0.0);
                GradientTask task{};
                task.radial = potential.radial();
                task.graph = potential.full_graph();
                task.neighbours = list.view();
                task.scratch = scratch(potential, graph, list, t, true);
                task.last_group = list.n_groups();
                task.energy_weight = energy_weights[k];
                task.displacements = v;
                task.strain = virial_weights + 9 * k;
                task.moment_gradient = memory.moments.data();
                task.radial_gradient = memory.radial.data();
                sweeps_.gradient(task);
            }
            double* out = sums.data() + block * (n_scalars + n_radial);
            for (std::size_t k = 0; k < n_scalars * w; ++k) out[k / w] += memory.moments.data()[k];
            for (std::size_t k = 0; k < n_radial * w; ++k) out[n_scalars + k / w] += memory.radial.data()[k];
        });
        std::fill(moments, moments + n_scalars, 0.0);
        std::fill(radial, radial + n_radial, 0.0);
        for (std::size_t block = 0; block < n_blocks; ++block) {
            const double* from = sums.data() + block * (n_scalars + n_radial);
            for (std::size_t k = 0; k < n_scalars; ++k) moments[k] += from[k];
            for (std::size_t k = 0; k < n_radial; ++k) radial[k] += from[n_scalars + k];
        }
    }

    // Rows of configuration k: one of the energy, 3 n of the forces, 9 of the virial.
    std::size_t rows(std::size_t k) const { return 10 + 3 * lists_[k].n_atoms(); }

    // Derivatives of energies, forces and virials with respect to the linear coefficients, for configurations first to
    // last: out [rows, n_species + n_scalars].
    void design(const Potential& potential, std::size_t first, std::size_t last, double* out) {
        check(potential);
        const MomentGraph& graph = potential.basis().full;
        const std::size_t n = potential.n_scalars(), columns = n_species_ + n, w = sweeps_.lanes;
        std::vector<std::size_t> start(last - first + 1, 0);
        for (std::size_t k = first; k < last; ++k) start[k - first + 1] = start[k - first] + rows(k);
        std::fill(out, out + start.back() * columns, 0.0);
        over_configurations(first, last, [&](int t, std::size_t k) {
            const NeighbourList& list = lists_[k];
            Memory& memory = memory_[t];
            memory.moments.resize(6 * n * w);
            memory.radial.resize(3 * n * w);
            std::fill(memory.moments.data(), memory.moments.data() + 6 * n * w, 0.0);
            double* energy_row = out + start[k - first] * columns;
            DesignTask task{};
            task.radial = potential.radial();
            task.graph = potential.full_graph();
            task.neighbours = list.view();
            task.scratch = scratch(potential, graph, list, t, true);
            task.last_group = list.n_groups();
            task.energy_row = energy_row + n_species_;
            task.force_rows = energy_row + columns + n_species_;
            task.row_stride = static_cast<std::ptrdiff_t>(columns);
            task.virial_rows = memory.moments.data();
            task.centre_rows = memory.radial.data();
            sweeps_.design(task);
            for (std::int32_t species : list.species()) energy_row[species] += 1.0;
            double* virial = energy_row + (1 + 3 * list.n_atoms()) * columns + n_species_;
            const int voigt[3][3] = {{0, 5, 4}, {5, 1, 3}, {4, 3, 2}};
            for (int a = 0; a < 3; ++a)
                for (int b = 0; b < 3; ++b) {
                    const double* from = memory.moments.data() + voigt[a][b] * n * w;
                    for (std::size_t s = 0; s < n * w; ++s) virial[(3 * a + b) * columns + s / w] += from[s];
                }
        });
    }


  private:
    struct Memory {
        ScratchMemory scratch;
        AlignedArray energies, per_atom, moments, radial;
    };

    void check(const Potential& potential) const {
        if (potential.cutoff() != cutoff_ || potential.n_species() != n_species_ || &potential.basis().sweeps != &sweeps_)
            throw std::invalid_argument("the potential has another cutoff, other species or other instructions than this set was made for");
    }

    Scratch scratch(const Potential& potential, const MomentGraph& graph, const NeighbourList& list, int t, bool training) {
        return memory_[t].scratch.prepare(potential.radial(), graph.n_basic_nodes, graph.n_nodes, list.max_slots(), sweeps_.lanes, training);
    }

    template <typename Work>
    void over_blocks(std::size_t n_blocks, const Work& work) {
        std::atomic<std::size_t> next{0};
        pool_.run([&](int t) {
            for (std::size_t block = next++; block < n_blocks; block = next++) work(t, block);
        });
    }

    template <typename Work>
    void over_configurations(std::size_t first, std::size_t last, const Work& work) {
        over_blocks(last - first, [&](int t, std::size_t k) { work(t, first + k); });
    }

    double cutoff_;
    int n_species_;
    const Sweeps& sweeps_;
    ThreadPool pool_;
    std::vector<Memory> memory_;
    std::vector<NeighbourList> lists_;
    std::vector<std::size_t> offsets_{0};
};

}  // namespace iontherm
