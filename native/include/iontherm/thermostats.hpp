// Heat baths. Each acts at its places of a step of velocity Verlet and keeps account of the energy it gave, so that one
// quantity is conserved in every ensemble.
#pragma once

#include <cmath>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "iontherm/particles.hpp"
#include "iontherm/random_numbers.hpp"

namespace iontherm {

// The base class is no bath: constant energy.
class Thermostat {
  public:
    virtual ~Thermostat() = default;

    virtual void before_step(Particles&, double) {}
    virtual bool acts_between_drifts() const { return false; }
    virtual void between_drifts(Particles&, double, std::uint64_t) {}
    virtual void after_step(Particles&, double, std::uint64_t) {}

    // To be added to the energy of the atoms to have what is conserved.
    double energy() const { return memory_.empty() ? 0.0 : bath_energy(); }

    // All that a continued run needs to know.
    const std::vector<double>& memory() const { return memory_; }
    void restore(const double* values, std::size_t n) {
        if (n != memory_.size()) throw std::invalid_argument("the memory of the thermostat has another length: the run had another one");
        memory_.assign(values, values + n);
    }

  protected:
    virtual double bath_energy() const { return -memory_[0]; }

    std::vector<double> memory_;  // heat given, unless said otherwise
};

// Friction and noise between the two halves of the drift (BAOAB): B. Leimkuhler and C. Matthews, Appl. Math. Res. Express
// 2013, 34. The noise is drawn for each atom and its drift taken out.
class Langevin : public Thermostat {
  public:
    Langevin(double kt, double friction, std::uint64_t seed) : kt_(kt), friction_(friction), random_(seed, Purpose::langevin) {
        memory_.assign(1, 0.0);
    }

    bool acts_between_drifts() const override { return true; }

    void between_drifts(Particles& p, double timestep, std::uint64_t step) override {
        const double before = p.kinetic();
        const double kept = std::exp(-friction_ * timestep), width = std::sqrt(kt_ * (1.0 - kept * kept));
        if (root_inverse_masses_.empty())
            for (std::size_t i = 0; i < p.size(); ++i) root_inverse_masses_.push_back(std::sqrt(p.inverse_masses[3 * i]));
        for (std::size_t i = 0; i < p.size(); ++i) {
            if (p.is_frozen(i)) continue;
            const std::array<double, 4> random = random_.normal(step, static_cast<std::uint32_t>(i));
            const double noise = width * root_inverse_masses_[i];
            for (int a = 0; a < 3; ++a) p.velocities[3 * i + a] = kept * p.velocities[3 * i + a] + noise * random[a];
        }
        p.stop_drift();
        memory_[0] += p.kinetic() - before;
    }

  private:
    double kt_, friction_;
    RandomNumbers random_;
    std::vector<double> root_inverse_masses_;
};

// All velocities rescaled so that the kinetic energy follows its own Langevin equation, solved exactly for one step:
// G. Bussi, D. Donadio and M. Parrinello, J. Chem. Phys. 126, 014101 (2007), Eq. A7.
class StochasticRescaling : public Thermostat {
  public:
    StochasticRescaling(double kt, double relaxation_time, std::uint64_t seed)
        : kt_(kt), time_(relaxation_time), random_(seed, Purpose::rescaling) {
        memory_.assign(1, 0.0);
    }

    void after_step(Particles& p, double timestep, std::uint64_t step) override {
        const double kinetic = p.kinetic();
        if (kinetic == 0.0) return;  // atoms at rest cannot be scaled into motion
        const double kept = std::exp(-timestep / time_), share = (1.0 - kept) * 0.5 * kt_ / kinetic;
        const double first = random_.normal(step, 0)[0];
        const double others = 2.0 * random_.gamma(0.5 * (p.degrees() - 1), step, 1);  // sum of the squares of all but the first
        const double projection = std::sqrt(kept) + std::sqrt(share) * first;
        const double scale2 = projection * projection + share * others;
        // The projection on the old velocities may change its sign, which matters with few atoms.
        p.scale_velocities(std::copysign(std::sqrt(scale2), projection));
        memory_[0] += kinetic * (scale2 - 1.0);
    }

  private:
    double kt_, time_;
    RandomNumbers random_;
};

// Nose-Hoover chain around the step: G. J. Martyna, M. E. Tuckerman, D. J. Tobias and M. L. Klein, Mol. Phys. 87, 1117 (1996),
// with the fourth-order weights of Suzuki and Yoshida. Masses of the bath: kT time^2, for the first times the degrees of
// freedom.
class NoseHooverChain : public Thermostat {
  public:
    NoseHooverChain(double kt, double time, int degrees, int length) : kt_(kt), masses_(length, kt * time * time), degrees_(degrees) {
        masses_[0] *= degrees;
        memory_.assign(2 * length, 0.0);  // coordinates, then velocities
    }

    void before_step(Particles& p, double timestep) override { propagate(p, 0.5 * timestep); }
    void after_step(Particles& p, double timestep, std::uint64_t) override { propagate(p, 0.5 * timestep); }

  protected:
    double bath_energy() const override {
        const std::size_t n = masses_.size();
        double sum = 0.0;
        for (std::size_t k = 0; k < n; ++k)
            sum += 0.5 * masses_[k] * memory_[n + k] * memory_[n + k] + (k == 0 ? degrees_ : 1) * kt_ * memory_[k];
        return sum;
    }

  private:
    void propagate(Particles& p, double time) {
        const int n = static_cast<int>(masses_.size());
        double* coordinate = memory_.data();
        double* velocity = memory_.data() + n;
        double twice_kinetic = 2.0 * p.kinetic(), scale = 1.0;
        const double outer = 1.0 / (2.0 - std::cbrt(2.0));
        const auto push = [&](int k, double t) {
            const double driven = k == 0 ? twice_kinetic - degrees_ * kt_ : masses_[k - 1] * velocity[k - 1] * velocity[k - 1] - kt_;
            const double damping = k + 1 < n ? std::exp(-0.25 * t * velocity[k + 1]) : 1.0;
            velocity[k] = (velocity[k] * damping + 0.5 * t * driven / masses_[k]) * damping;
        };
        for (const double weight : {outer, 1.0 - 2.0 * outer, outer}) {
            const double t = weight * time;
            for (int k = n - 1; k >= 0; --k) push(k, t);
            const double factor = std::exp(-t * velocity[0]);
            scale *= factor;
            twice_kinetic *= factor * factor;
            for (int k = 0; k < n; ++k) coordinate[k] += t * velocity[k];
            for (int k = 0; k < n; ++k) push(k, t);
        }
        p.scale_velocities(scale);
    }

    double kt_;
    std::vector<double> masses_;
    int degrees_;
};

// `time` is the inverse friction, the relaxation time of the kinetic energy, or that in the masses of the chain.
inline std::unique_ptr<Thermostat> make_thermostat(const std::string& name, double kt, double time, std::uint64_t seed, int degrees) {
    if (name == "none") return std::make_unique<Thermostat>();
    if (!(kt > 0.0) || !(time > 0.0)) throw std::invalid_argument("a thermostat needs a positive temperature and time");
    if (name == "langevin") return std::make_unique<Langevin>(kt, 1.0 / time, seed);
    if (name == "bussi") return std::make_unique<StochasticRescaling>(kt, time, seed);
    if (name == "nose-hoover") return std::make_unique<NoseHooverChain>(kt, time, degrees, 3);
    throw std::invalid_argument("there is no thermostat " + name + ": it is none, langevin, bussi or nose-hoover");
}

}  // namespace iontherm
