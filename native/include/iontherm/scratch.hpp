// Memory of one thread for the sweeps.
#pragma once

#include <cstdlib>
#include <memory>
#include <new>
#include <vector>

#include "iontherm/views.hpp"

namespace iontherm {

// Doubles aligned to a cache line, which is also the widest vector.
class AlignedArray {
  public:
    void resize(std::size_t n) {
        if (n <= size_) return;
        const std::size_t bytes = (n * sizeof(double) + 63) / 64 * 64;
        data_.reset(static_cast<double*>(std::aligned_alloc(64, bytes)));
        if (!data_) throw std::bad_alloc();
        size_ = n;
    }
    double* data() { return data_.get(); }

  private:
    struct Free {
        void operator()(double* p) const { std::free(p); }
    };
    std::unique_ptr<double, Free> data_;
    std::size_t size_ = 0;
};

class ScratchMemory {
  public:
    // Make room for a graph and a number of slots; `training` adds what the tangent sweeps need.
    Scratch prepare(const RadialView& radial, int n_basic, int n_nodes, int max_slots, int lanes, bool training) {
        const std::size_t w = lanes, slots = max_slots + 5, m = radial.n_functions;  // writes run one slot ahead
        const std::size_t mono = monomials_up_to(radial.max_degree), nodes = n_nodes;
        Scratch s{};
        std::size_t total = 0;
        const auto plan = [&](std::size_t vectors) {
            const std::size_t at = total;
            total += vectors * w;
            return at;
        };
        const std::size_t x = plan(slots), y = plan(slots), z = plan(slots), unit = plan(3 * slots), inverse = plan(slots);
        const std::size_t f = plan(m * slots), df = plan(m * slots), monomials = plan(4 * mono);
        const std::size_t moments = plan(nodes), adjoint = plan(nodes), xyz = plan(3 * static_cast<std::size_t>(n_basic));
        const std::size_t tangent = training ? plan(3 * nodes) : 0, tangent_adjoint = training ? plan(nodes) : 0;
        const std::size_t tangent_monomials = training ? plan(3 * mono) : 0;
        const std::size_t dx = training ? plan(slots) : 0, dy = training ? plan(slots) : 0, dz = training ? plan(slots) : 0;
        doubles_.resize(total);
        double* p = doubles_.data();
        integers_.resize(slots * w + radial.n_species + 1);
        s.owner = integers_.data();
        s.segments = integers_.data() + slots * w;
        s.x = p + x;
        s.y = p + y;
        s.z = p + z;
        s.unit = p + unit;
        s.inverse_distance = p + inverse;
        s.f = p + f;
        s.df = p + df;
        s.monomials = p + monomials;
        s.moments = p + moments;
        s.adjoint = p + adjoint;
        s.adjoint_xyz = p + xyz;
        s.tangent = p + tangent;
        s.tangent_adjoint = p + tangent_adjoint;
        s.tangent_monomials = p + tangent_monomials;
        s.dx = p + dx;
        s.dy = p + dy;
        s.dz = p + dz;
        return s;
    }

  private:
    AlignedArray doubles_;
    std::vector<std::int32_t> integers_;
};

}  // namespace iontherm
