// Linked-cell neighbour list with a skin, for any cell: triclinic, smaller than the cutoff, with or without periods.
//
// Periodic images are made explicit as points beside the atoms, each an atom and an integer shift. A neighbour is then a
// point, and a step that keeps the list only recomputes where the points are.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <stdexcept>
#include <vector>

#include "iontherm/views.hpp"

namespace iontherm {

using Vector3 = std::array<double, 3>;
using Cell = std::array<Vector3, 3>;  // rows are the cell vectors

inline double dot(const Vector3& a, const Vector3& b) { return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]; }
inline Vector3 cross(const Vector3& a, const Vector3& b) {
    return {a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]};
}

class NeighbourList {
  public:
    NeighbourList(double cutoff, double skin, int n_species, int lanes)
        : cutoff_(cutoff), skin_(skin), n_species_(n_species), lanes_(lanes) {
        if (!(cutoff > 0.0) || !(skin >= 0.0)) throw std::invalid_argument("the cutoff must be positive, the skin not negative");
    }

    // Bring the points up to date; rebuild the list if any two may have come closer by more than the skin since it was built.
    // Returns whether it was rebuilt.
    bool update(const double* positions, const std::int32_t* species, std::size_t n_atoms, const Cell& cell,
                const std::array<bool, 3>& periodic) {
        const bool same = built_ && n_atoms == n_atoms_ && periodic == periodic_ &&
                          std::equal(species_.begin(), species_.end(), species);
        if (same) {
            if (cell != placed_cell_) place_shifts(cell);
            place_points(positions);
            if (within_skin(cell)) return false;
        }
        build(positions, species, n_atoms, cell, periodic);
        return true;
    }

    void reset() { built_ = false; }

    bool has_coincident_points() const {
        for (std::size_t i = 0; i < n_atoms_; ++i)
            for (std::int64_t k = begin_[i * n_species_]; k < begin_[(i + 1) * n_species_]; ++k)
                if (std::equal(&points_[4 * i], &points_[4 * i] + 3, &points_[4 * static_cast<std::size_t>(index_[k])])) return true;
        return false;
    }

    // Give back all memory that only an update needs; the list is then good for the present positions alone.
    void freeze() {
        built_ = false;
        for (auto* v : {&reference_, &fraction_, &shift_vectors_}) std::vector<double>().swap(*v);
        for (auto* v : {&shift_, &bin_, &bin_begin_, &bin_points_}) std::vector<std::int32_t>().swap(*v);
        points_.shrink_to_fit();
        owner_.shrink_to_fit();
        index_.shrink_to_fit();
    }

    NeighboursView view() const {
        NeighboursView v;
        v.n_atoms = static_cast<int>(n_atoms_);
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

    // First and past-the-last group of the atoms of a species.
    std::array<int, 2> groups_of(std::int32_t species) const {
        const auto range = std::equal_range(group_species_.begin(), group_species_.end(), species);
        return {static_cast<int>(range.first - group_species_.begin()), static_cast<int>(range.second - group_species_.begin())};
    }

    int n_groups() const { return static_cast<int>(group_species_.size()); }
    std::size_t n_atoms() const { return n_atoms_; }
    int max_slots() const { return max_slots_; }
    // Candidates, those in the skin included.
    std::size_t n_candidates() const { return index_.size(); }
    const std::vector<std::int32_t>& species() const { return species_; }

  private:
    // Cartesian shifts of the points, the same from step to step while the cell is.
    void place_shifts(const Cell& cell) {
        shift_vectors_.resize(3 * owner_.size());
        for (std::size_t p = 0; p < owner_.size(); ++p) {
            const std::int32_t* s = shift_.data() + 3 * p;
            for (int a = 0; a < 3; ++a) shift_vectors_[3 * p + a] = s[0] * cell[0][a] + s[1] * cell[1][a] + s[2] * cell[2][a];
        }
        placed_cell_ = cell;
    }

    void place_points(const double* positions) {
        for (std::size_t p = 0; p < owner_.size(); ++p) {
            const double* r = positions + 3 * static_cast<std::size_t>(owner_[p]);
            for (int a = 0; a < 3; ++a) points_[4 * p + a] = r[a] + shift_vectors_[3 * p + a];
        }
    }

    // Whether no pair that is not listed can have come within the cutoff. Twice the largest move of a point bounds what
    // listed points do; images beyond them move with the cell alone: one at the reach is at most margin + 1 cells away.
    // Comparisons are written so that a number that is not finite fails them.
    bool within_skin(const Cell& cell) const {
        double left = skin_;
        for (int a = 0; a < 3; ++a) {
            if (!periodic_[a]) continue;
            const Vector3 d = {cell[a][0] - reference_cell_[a][0], cell[a][1] - reference_cell_[a][1], cell[a][2] - reference_cell_[a][2]};
            left -= (margin_[a] + 1.0) * std::sqrt(dot(d, d));
        }
        if (!(left >= 0.0)) return false;
        const double limit = 0.25 * left * left;
        // In the cell of the list images move as their atoms do, which are the first points.
        const std::size_t n_moved = cell == reference_cell_ ? n_atoms_ : owner_.size();
        for (std::size_t p = 0; p < n_moved; ++p) {
            double move2 = 0.0;
            for (int a = 0; a < 3; ++a) {
                const double d = points_[4 * p + a] - reference_[4 * p + a];
                move2 += d * d;
            }
            if (!(move2 <= limit)) return false;
        }
        return true;
    }

    void build(const double* positions, const std::int32_t* species, std::size_t n_atoms, const Cell& cell,
               const std::array<bool, 3>& periodic) {
        built_ = false;  // should anything below throw
        n_atoms_ = n_atoms;
        periodic_ = periodic;
        reference_cell_ = cell;
        species_.assign(species, species + n_atoms);
        const double reach = cutoff_ + skin_;

        // Columns of the inverse cell give fractional coordinates; an axis without a period may lack a cell vector.
        const Cell full = completed(cell, periodic);
        const Vector3 normals[3] = {cross(full[1], full[2]), cross(full[2], full[0]), cross(full[0], full[1])};
        const double volume = dot(full[0], normals[0]);
        Vector3 inverse[3];
        std::array<double, 3> margin{};
        for (int a = 0; a < 3; ++a) {
            for (int b = 0; b < 3; ++b) inverse[a][b] = normals[a][b] / volume;
            margin[a] = reach * std::sqrt(dot(inverse[a], inverse[a]));
            if (!std::isfinite(margin[a]) || margin[a] > 200.0)
                throw std::invalid_argument("the cell is too flat for the cutoff: is one of its vectors zero or nearly in the plane of the others?");
        }

        // Atoms, wrapped into the cell along its periods, then their images within reach of it.
        owner_.clear();
        shift_.clear();
        fraction_.clear();
        std::array<double, 3> low{}, high{};
        for (std::size_t i = 0; i < n_atoms; ++i) {
            const Vector3 r = {positions[3 * i], positions[3 * i + 1], positions[3 * i + 2]};
            owner_.push_back(static_cast<std::int32_t>(i));
            for (int a = 0; a < 3; ++a) {
                const double f = dot(r, inverse[a]);
                // Beyond this an integer shift loses the digits of the position.
                if (!(std::fabs(f) < 1e6)) throw std::invalid_argument("an atom is not at a finite place within a million cells");
                const double wrap = periodic[a] ? -std::floor(f) : 0.0;
                shift_.push_back(static_cast<std::int32_t>(wrap));
                fraction_.push_back(f + wrap);
                low[a] = i == 0 ? f : std::min(low[a], f);
                high[a] = i == 0 ? f : std::max(high[a], f);
            }
        }
        for (int a = 0; a < 3; ++a) {
            if (periodic[a]) {
                low[a] = -margin[a];
                high[a] = 1.0 + margin[a];
            }
        }
        for (std::size_t i = 0; i < n_atoms; ++i) {
            int first[3] = {0, 0, 0}, last[3] = {0, 0, 0};
            for (int a = 0; a < 3; ++a) {
                if (!periodic[a]) continue;
                first[a] = static_cast<int>(std::ceil(low[a] - fraction_[3 * i + a]));
                last[a] = static_cast<int>(std::floor(high[a] - fraction_[3 * i + a]));
            }
            for (int x = first[0]; x <= last[0]; ++x)
                for (int y = first[1]; y <= last[1]; ++y)
                    for (int z = first[2]; z <= last[2]; ++z) {
                        if (x == 0 && y == 0 && z == 0) continue;
                        const int image[3] = {x, y, z};
                        owner_.push_back(static_cast<std::int32_t>(i));
                        for (int a = 0; a < 3; ++a) {
                            shift_.push_back(shift_[3 * i + a] + image[a]);
                            fraction_.push_back(fraction_[3 * i + a] + image[a]);
                        }
                    }
        }
        points_.assign(4 * owner_.size(), 0.0);
        place_shifts(cell);
        place_points(positions);
        reference_ = points_;

        margin_ = margin;
        sort_into_bins(low, high, margin);
        list_candidates(reach);
        make_groups();
        built_ = true;
    }

    // Boxes at least as wide as the reach, so that neighbours are in the 27 around.
    void sort_into_bins(const std::array<double, 3>& low, const std::array<double, 3>& high, const std::array<double, 3>& margin) {
        const std::size_t n = owner_.size();
        const int most = static_cast<int>(std::cbrt(static_cast<double>(n))) + 2;  // far-flung atoms need no finer grid
        for (int a = 0; a < 3; ++a) {
            const double range = high[a] - low[a];
            n_bins_[a] = std::max(1, std::min(static_cast<int>(range / margin[a]), most));
        }
        const std::size_t n_bins = static_cast<std::size_t>(n_bins_[0]) * n_bins_[1] * n_bins_[2];
        bin_.resize(n);
        bin_begin_.assign(n_bins + 1, 0);
        for (std::size_t p = 0; p < n; ++p) {
            std::size_t bin = 0;
            for (int a = 0; a < 3; ++a) {
                const double range = high[a] - low[a];
                const int b = range > 0.0 ? static_cast<int>((fraction_[3 * p + a] - low[a]) / range * n_bins_[a]) : 0;
                bin = bin * n_bins_[a] + std::min(std::max(b, 0), n_bins_[a] - 1);
            }
            bin_[p] = static_cast<std::int32_t>(bin);
            ++bin_begin_[bin + 1];
        }
        for (std::size_t b = 0; b < n_bins; ++b) bin_begin_[b + 1] += bin_begin_[b];
        bin_points_.resize(n);
        std::vector<std::int32_t> next(bin_begin_.begin(), bin_begin_.end() - 1);
        for (std::size_t p = 0; p < n; ++p) bin_points_[next[bin_[p]]++] = static_cast<std::int32_t>(p);
    }

    void list_candidates(double reach) {
        const double reach2 = reach * reach;
        begin_.assign(n_atoms_ * n_species_ + 1, 0);
        index_.clear();
        std::vector<std::int32_t> found(owner_.size() + 1);
        std::vector<std::int64_t> next(n_species_);
        for (std::size_t i = 0; i < n_atoms_; ++i) {
            std::size_t n_found = 0;
            std::fill(next.begin(), next.end(), 0);
            const double* p = points_.data() + 4 * i;
            const int bin = bin_[i];
            const int centre[3] = {bin / (n_bins_[1] * n_bins_[2]), bin / n_bins_[2] % n_bins_[1], bin % n_bins_[2]};
            int first[3], last[3];
            for (int a = 0; a < 3; ++a) {
                first[a] = std::max(centre[a] - 1, 0);
                last[a] = std::min(centre[a] + 1, n_bins_[a] - 1);
            }
            for (int x = first[0]; x <= last[0]; ++x)
                for (int y = first[1]; y <= last[1]; ++y) {
                    // boxes along z are contiguous
                    const std::size_t row = (static_cast<std::size_t>(x) * n_bins_[1] + y) * n_bins_[2];
                    for (std::int32_t k = bin_begin_[row + first[2]]; k < bin_begin_[row + last[2] + 1]; ++k) {
                        const std::int32_t j = bin_points_[k];
                        const double* q = points_.data() + 4 * static_cast<std::size_t>(j);
                        const double dx = q[0] - p[0], dy = q[1] - p[1], dz = q[2] - p[2];
                        // Written always, kept if near: a branch here would be mispredicted for every fifth point.
                        found[n_found] = j;
                        n_found += (dx * dx + dy * dy + dz * dz < reach2) & (j != static_cast<std::int32_t>(i));
                    }
                }
            // Sorted by species, in the order in which they were found.
            for (std::size_t k = 0; k < n_found; ++k) ++next[species_[owner_[found[k]]]];
            std::int64_t end = static_cast<std::int64_t>(index_.size());
            for (int t = 0; t < n_species_; ++t) {
                begin_[i * n_species_ + t] = end;
                end += next[t];
                next[t] = begin_[i * n_species_ + t];
            }
            index_.resize(static_cast<std::size_t>(end));
            for (std::size_t k = 0; k < n_found; ++k) index_[next[species_[owner_[found[k]]]]++] = found[k];
        }
        begin_.back() = static_cast<std::int64_t>(index_.size());
    }

    // Atoms of one species together, in the order of their boxes: neighbours in space share cache lines.
    void make_groups() {
        std::vector<std::int32_t> order(n_atoms_);
        for (std::size_t i = 0; i < n_atoms_; ++i) order[i] = static_cast<std::int32_t>(i);
        std::stable_sort(order.begin(), order.end(), [this](std::int32_t a, std::int32_t b) {
            return species_[a] != species_[b] ? species_[a] < species_[b] : bin_[a] < bin_[b];
        });
        centres_.clear();
        group_species_.clear();
        for (std::size_t k = 0; k < n_atoms_;) {
            const std::int32_t t = species_[order[k]];
            group_species_.push_back(t);
            for (int l = 0; l < lanes_; ++l) {
                const bool filled = k < n_atoms_ && species_[order[k]] == t;
                centres_.push_back(filled ? order[k] : -1);
                k += filled;
            }
        }
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

    // Give axes without a period that lack a vector one at right angles to the others.
    static Cell completed(Cell cell, const std::array<bool, 3>& periodic) {
        bool given[3];
        for (int a = 0; a < 3; ++a) {
            given[a] = dot(cell[a], cell[a]) > 0.0;
            if (!given[a] && periodic[a]) throw std::invalid_argument("the cell has a period along a vector of zero length");
        }
        for (int a = 0; a < 3; ++a) {
            if (given[a]) continue;
            const int b = (a + 1) % 3, c = (a + 2) % 3;
            Vector3 v;
            if (given[b] && given[c]) {
                v = cross(cell[b], cell[c]);
            } else if (given[b] || given[c]) {
                const Vector3& w = given[b] ? cell[b] : cell[c];
                // the axis least along w is surely not parallel to it
                int least = 0;
                for (int k = 1; k < 3; ++k)
                    if (std::fabs(w[k]) < std::fabs(w[least])) least = k;
                Vector3 e{};
                e[least] = 1.0;
                v = cross(w, e);
            } else {
                v = Vector3{};
                v[a] = 1.0;
            }
            const double length = std::sqrt(dot(v, v));
            for (double& x : v) x /= length;
            cell[a] = v;
            given[a] = true;
        }
        return cell;
    }

    double cutoff_, skin_;
    int n_species_, lanes_;
    bool built_ = false;
    std::size_t n_atoms_ = 0;
    std::array<bool, 3> periodic_{};
    Cell reference_cell_{}, placed_cell_{};
    std::array<double, 3> margin_{};
    std::vector<std::int32_t> species_;
    std::vector<double> points_, reference_;  // [point, 4]
    std::vector<std::int32_t> owner_, shift_;
    std::vector<double> fraction_, shift_vectors_;
    std::array<int, 3> n_bins_{};
    std::vector<std::int32_t> bin_, bin_begin_, bin_points_;
    std::vector<std::int64_t> begin_;
    std::vector<std::int32_t> index_, centres_, group_species_;
    int max_slots_ = 0;
};

}  // namespace iontherm
