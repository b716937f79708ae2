// The cell cut into slabs of equal thickness along one of its vectors.
#pragma once

#include <cmath>
#include <stdexcept>

#include "iontherm/neighbour_list.hpp"

namespace iontherm {

// From a position to the number of the slab it is in, periodically.
class SlabFinder {
  public:
    SlabFinder(const Cell& cell, int axis, int count) : count_(count) {
        const Vector3 normal = cross(cell[(axis + 1) % 3], cell[(axis + 2) % 3]);
        const double volume = dot(normal, cell[axis]);
        for (int a = 0; a < 3; ++a) reciprocal_[a] = normal[a] / volume;
    }

    int operator()(const double* position) const {
        double fraction = reciprocal_[0] * position[0] + reciprocal_[1] * position[1] + reciprocal_[2] * position[2];
        fraction -= std::floor(fraction);
        // Rounding may take the fraction to one, which is zero.
        const int slab = static_cast<int>(fraction * count_);
        return slab < count_ ? slab : 0;
    }

    // Unit vector across the slabs.
    Vector3 normal() const {
        const double length = std::sqrt(dot(reciprocal_, reciprocal_));
        return {reciprocal_[0] / length, reciprocal_[1] / length, reciprocal_[2] / length};
    }

  private:
    Vector3 reciprocal_;
    int count_;
};

class Slabs {
  public:
    Slabs(int axis, int count) : axis_(axis), count_(count) {
        if (axis < 0 || axis > 2) throw std::invalid_argument("the axis is 0, 1 or 2");
        if (count < 1) throw std::invalid_argument("there must be at least one slab");
    }

    int axis() const { return axis_; }
    int count() const { return count_; }
    SlabFinder finder(const Cell& cell) const { return {cell, axis_, count_}; }

  private:
    int axis_, count_;
};

}  // namespace iontherm
