// Heat carried from one slab of the cell to another at a constant rate: enhanced heat exchange (eHEX), P. Wirnsberger,
// D. Frenkel and C. Dellago, J. Chem. Phys. 143, 124104 (2015).
//
// Velocities relative to the centre of mass of a slab are rescaled, half before the step, half after it, and positions
// corrected in the third order of the timestep (Eqs. 21-24 there), which takes away the drift of the total energy.
#pragma once

#include <cmath>
#include <stdexcept>
#include <vector>

#include "iontherm/slabs.hpp"
#include "iontherm/thermostats.hpp"

namespace iontherm {

class HeatExchange : public Thermostat {
  public:
    // Heat flows into the slab `hot` and out of the slab `cold` at `power`.
    HeatExchange(const Slabs& slabs, int hot, int cold, double power) : slabs_(slabs), slab_{hot, cold}, power_{power, -power} {
        if (hot == cold || hot < 0 || cold < 0 || hot >= slabs.count() || cold >= slabs.count())
            throw std::invalid_argument("the hot and the cold slab must be two of those there are");
        memory_.assign(1, 0.0);
    }

    void before_step(Particles& p, double timestep) override { exchange(p, 0.5 * timestep); }

    void after_step(Particles& p, double timestep, std::uint64_t) override {
        exchange(p, 0.5 * timestep);
        correct_positions(p, timestep);
    }

  private:
    struct Motion {
        double mass = 0.0, kinetic = 0.0;  // the latter without that of the centre
        Vector3 velocity{};
    };

    void find_members(const Particles& p) {
        const SlabFinder find = slabs_.finder(p.cell);
        for (std::vector<std::size_t>& atoms : members_) atoms.clear();
        for (std::size_t i = 0; i < p.size(); ++i) {
            if (p.is_frozen(i)) continue;
            const int slab = find(&p.positions[3 * i]);
            for (int k = 0; k < 2; ++k)
                if (slab == slab_[k]) members_[k].push_back(i);
        }
    }

    Motion motion(const Particles& p, const std::vector<std::size_t>& atoms) const {
        Motion m;
        for (const std::size_t i : atoms) {
            m.mass += p.masses[i];
            for (int a = 0; a < 3; ++a) m.velocity[a] += p.masses[i] * p.velocities[3 * i + a];
        }
        for (double& v : m.velocity) v /= m.mass;
        for (const std::size_t i : atoms)
            for (int a = 0; a < 3; ++a) {
                const double v = p.velocities[3 * i + a] - m.velocity[a];
                m.kinetic += 0.5 * p.masses[i] * v * v;
            }
        if (atoms.size() < 2) throw std::invalid_argument("a reservoir has fewer than two atoms: take thicker slabs or a larger cell");
        return m;
    }

    void exchange(Particles& p, double time) {
        find_members(p);
        for (int k = 0; k < 2; ++k) {
            const Motion m = motion(p, members_[k]);
            const double scale2 = 1.0 + power_[k] * time / m.kinetic;
            if (!(scale2 > 0.0)) throw std::invalid_argument("the cold slab has less kinetic energy than is taken from it in a step: exchange less heat");
            const double scale = std::sqrt(scale2);
            for (const std::size_t i : members_[k])
                for (int a = 0; a < 3; ++a) {
                    double& v = p.velocities[3 * i + a];
                    v = scale * v + (1.0 - scale) * m.velocity[a];
                }
            memory_[0] += power_[k] * time;
        }
    }

    void correct_positions(Particles& p, double timestep) const {
        for (int k = 0; k < 2; ++k) {
            const Motion m = motion(p, members_[k]);
            Vector3 force{};
            double work = 0.0;  // of the forces, per time
            for (const std::size_t i : members_[k])
                for (int a = 0; a < 3; ++a) {
                    force[a] += p.forces[3 * i + a];
                    work += p.forces[3 * i + a] * (p.velocities[3 * i + a] - m.velocity[a]);
                }
            const double rate = power_[k] / (2.0 * m.kinetic), cube = timestep * timestep * timestep;
            for (const std::size_t i : members_[k])
                for (int a = 0; a < 3; ++a) {
                    const double relative = rate * (p.velocities[3 * i + a] - m.velocity[a]) / m.kinetic;
                    const double acceleration = p.forces[3 * i + a] / p.masses[i] - force[a] / m.mass;
                    p.positions[3 * i + a] -= cube * (relative * (power_[k] / 48.0 + work / 6.0) - rate / 6.0 * acceleration);
                }
        }
    }

    Slabs slabs_;
    int slab_[2];
    double power_[2];
    std::vector<std::size_t> members_[2];
};

}  // namespace iontherm
