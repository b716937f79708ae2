// The neighbour list of a program that decomposes space, in the form that the sweeps walk.
//
// Its atoms and their ghosts are the points, each its own owner: what the energy of an atom does to a ghost is handed back
// by that program.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "iontherm/views.hpp"

namespace iontherm {

class NeighbourGroups {
  public:
    NeighbourGroups(int n_species, int lanes) : n_species_(n_species), lanes_(lanes) {}

    // Whether the list was made for these atoms. Types may change while the list of the program stays.
    bool fits(const int* types, int n_points) const {
        return static_cast<std::size_t>(n_points) == types_.size() && std::equal(types_.begin(), types_.end(), types);
    }

    // species_of: [type] species of the potential, -1 for what is not its own. Neighbours of atom i: neighbours[i][k] & mask,
    // k < counts[i], for the `n_centres` atoms i of `centres`, among `n_points` points.
    void rebuild(const int* types, int n_points, const std::vector<int>& species_of, const int* centres, int n_centres, const int* counts,
                 const int* const* neighbours, int mask) {
        types_.assign(types, types + n_points);
        species_.resize(n_points);
        owner_.resize(n_points);
        for (int p = 0; p < n_points; ++p) {
            species_[p] = species_of[types[p]];
            owner_[p] = p;
        }
        points_.assign(4 * static_cast<std::size_t>(n_points), 0.0);
        make_groups(centres, n_centres);
        list_candidates(counts, neighbours, mask);
        count_slots();
    }

    void place(const double* const* positions) {
        for (std::size_t p = 0; p < types_.size(); ++p)
            for (int a = 0; a < 3; ++a) points_[4 * p + a] = positions[p][a];
    }

    NeighboursView view() const {
        NeighboursView v;
        v.n_atoms = static_cast<int>(types_.size());
        v.n_species = n_species_;
        v.points = points_.data();
        v.owner = owner_.data();
        v.begin = begin_.data();
        v.index = index_.data();
        v.centres = centres_.data();
        v.group_species = group_species_.data();
        v.max_slots = max_slots_;
        return v;
    }

    int n_groups() const { return static_cast<int>(group_species_.size()); }
    int n_centres() const { return static_cast<int>(order_.size()); }
    // Atoms with energies of their own, by species.
    const std::vector<std::int32_t>& order() const { return order_; }
    int species(int point) const { return species_[point]; }

    double memory_bytes() const {
        return 8.0 * (points_.capacity() + begin_.capacity()) +
               4.0 * (types_.capacity() + species_.capacity() + owner_.capacity() + index_.capacity() + order_.capacity() + centres_.capacity());
    }

  private:
    // Atoms of one species together, in the order of the program, which sorts them in space.
    void make_groups(const int* centres, int n_centres) {
        order_.assign(centres, centres + n_centres);
        order_.erase(std::remove_if(order_.begin(), order_.end(), [this](std::int32_t i) { return species_[i] < 0; }), order_.end());
        std::sort(order_.begin(), order_.end(), [this](std::int32_t a, std::int32_t b) {
            return species_[a] != species_[b] ? species_[a] < species_[b] : a < b;
        });
        centres_.clear();
        group_species_.clear();
        for (std::size_t k = 0; k < order_.size();) {
            const int t = species_[order_[k]];
            group_species_.push_back(t);
            for (int l = 0; l < lanes_; ++l) {
                const bool filled = k < order_.size() && species_[order_[k]] == t;
                centres_.push_back(filled ? order_[k] : -1);
                k += filled;
            }
        }
    }

    // Sorted by species, in the order of the program.
    void list_candidates(const int* counts, const int* const* neighbours, int mask) {
        const std::int32_t n = order_.empty() ? 0 : *std::max_element(order_.begin(), order_.end()) + 1;
        std::vector<char> is_centre(n, 0);
        for (std::int32_t i : order_) is_centre[i] = 1;
        begin_.assign(static_cast<std::size_t>(n) * n_species_ + 1, 0);
        index_.clear();
        // From 1 on by species; what is not the potential's own is counted in front of them.
        std::vector<std::int64_t> next(n_species_ + 1);
        for (std::int32_t i = 0; i < n; ++i) {
            std::fill(next.begin(), next.end(), 0);
            const int count = is_centre[i] ? counts[i] : 0;
            for (int k = 0; k < count; ++k) ++next[species_[neighbours[i][k] & mask] + 1];
            std::int64_t end = static_cast<std::int64_t>(index_.size());
            for (int t = 0; t < n_species_; ++t) {
                begin_[static_cast<std::size_t>(i) * n_species_ + t] = end;
                end += next[t + 1];
                next[t + 1] = begin_[static_cast<std::size_t>(i) * n_species_ + t];
            }
            index_.resize(static_cast<std::size_t>(end));
            for (int k = 0; k < count; ++k) {
                const std::int32_t j = neighbours[i][k] & mask;
                if (species_[j] >= 0) index_[next[species_[j] + 1]++] = j;
            }
        }
        begin_.back() = static_cast<std::int64_t>(index_.size());
    }

    void count_slots() {
        max_slots_ = 0;
        for (std::size_t g = 0; g < group_species_.size(); ++g) {
            std::int64_t slots = 0;
            for (int t = 0; t < n_species_; ++t) {
                std::int64_t longest = 0;
                for (int l = 0; l < lanes_; ++l) {
                    const std::int32_t i = centres_[g * lanes_ + l];
                    if (i < 0) continue;
                    const std::size_t at = static_cast<std::size_t>(i) * n_species_ + t;
                    longest = std::max(longest, begin_[at + 1] - begin_[at]);
                }
                slots += longest;
            }
            max_slots_ = std::max(max_slots_, static_cast<int>(slots));
        }
    }

    int n_species_, lanes_;
    std::vector<int> types_;
    std::vector<double> points_;                   // [point, 4]
    std::vector<std::int32_t> species_, owner_;    // [point]
    std::vector<std::int64_t> begin_;              // [atom * n_species + species]
    std::vector<std::int32_t> index_, order_, centres_, group_species_;
    int max_slots_ = 0;
};

}  // namespace iontherm
