// Molecular dynamics of one system: velocity Verlet around the evaluator, with a heat bath or without, sampled on the way.
//
// Between two calls the state is positions, velocities, the number of steps made and the memory of the bath. Forces and
// neighbour list follow from the positions, but their last bits follow from when the list was built: `forget` makes a run
// that goes on the same, bit by bit, as one that starts anew from that state.
#pragma once

#include <chrono>
#include <limits>
#include <memory>

#include "iontherm/barostat.hpp"
#include "iontherm/evaluator.hpp"
#include "iontherm/sampling.hpp"
#include "iontherm/thermostats.hpp"

namespace iontherm {

// Where the time of a run went, in seconds, and how often the list was built.
struct TimeSpent {
    double forces = 0.0, neighbours = 0.0, all = 0.0;
    std::int64_t evaluations = 0, lists = 0;
};

class MolecularDynamics {
  public:
    MolecularDynamics(std::shared_ptr<const Potential> potential, double skin, int n_threads, Particles particles, double timestep)
        : particles_(std::move(particles)),
          evaluator_(std::move(potential), skin, n_threads),
          timestep_(timestep),
          thermostat_(std::make_unique<Thermostat>()),
          energies_(particles_.size()),
          virials_(9 * particles_.size()) {
        if (!(timestep > 0.0)) throw std::invalid_argument("the timestep must be positive");
        forget_shortest();
    }

    void set_cell(const Cell& cell) {
        particles_.cell = cell;
        forget();
    }

    void set_state(const double* positions, const double* velocities, std::uint64_t step) {
        particles_.positions.assign(positions, positions + 3 * particles_.size());
        particles_.velocities.assign(velocities, velocities + 3 * particles_.size());
        for (std::size_t i = 0; i < particles_.size(); ++i)
            if (particles_.is_frozen(i)) std::fill_n(&particles_.velocities[3 * i], 3, 0.0);
        step_ = step;
        forget();
    }

    void set_thermostat(std::unique_ptr<Thermostat> thermostat) { thermostat_ = std::move(thermostat); }

    // Null for a cell that stays as it is.
    void set_barostat(std::unique_ptr<Barostat> barostat) {
        if (barostat && !particles_.free_to_drift()) throw std::invalid_argument("frozen atoms have no place in a cell that changes: leave out one of both");
        if (barostat && !(particles_.periodic[0] && particles_.periodic[1] && particles_.periodic[2]))
            throw std::invalid_argument("a barostat needs a crystal with three periods");
        barostat_ = std::move(barostat);
    }

    // Build the neighbour list and the forces anew before the next step.
    void forget() {
        evaluator_.list().reset();
        up_to_date_ = false;
    }

    // Returns the number of steps made: fewer than asked for if the kinetic energy has left the bound, or is no number.
    std::int64_t run(std::int64_t steps, const Sampling& sampling, double largest_kinetic, Samples& samples) {
        const auto start = Clock::now();
        prepare();
        std::int64_t made = 0;
        while (made < steps) {
            const std::int64_t now = static_cast<std::int64_t>(step_) + 1;
            const bool virials_due = sampling.virials_due(now);
            advance(virials_due);
            if (barostat_ && barostat_->due(step_)) deform(virials_due);
            ++made;
            if (!(particles_.kinetic() <= largest_kinetic)) break;
            sample(sampling, now, samples);
        }
        spent_.all += seconds_since(start);
        return made;
    }

    // The row of `add_thermo` as things are.
    std::vector<double> thermo() {
        prepare();
        std::vector<double> row;
        add_thermo(row, particles_, potential_energy_, virial_, energy_of_baths());
        return row;
    }

    // Shortest distance of two atoms since the last call, the cutoff if none came near another.
    double take_shortest() {
        const double result = shortest_;
        forget_shortest();
        return result;
    }

    Particles& particles() { return particles_; }
    Thermostat& thermostat() { return *thermostat_; }
    Barostat* barostat() { return barostat_.get(); }
    const Potential& potential() const { return evaluator_.potential(); }
    std::uint64_t step() const { return step_; }
    const TimeSpent& spent() const { return spent_; }

  private:
    using Clock = std::chrono::steady_clock;

    static double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

    void forget_shortest() { shortest_ = potential().cutoff(); }

    void prepare() {
        if (!up_to_date_) evaluate(false);
    }

    double energy_of_baths() const { return thermostat_->energy() - (barostat_ ? barostat_->energy : 0.0); }

    void advance(bool virials_due) {
        ++step_;  // the number of the step being made: what random numbers are drawn for
        Particles& p = particles_;
        thermostat_->before_step(p, timestep_);
        p.kick(0.5 * timestep_);
        if (thermostat_->acts_between_drifts()) {
            p.drift(0.5 * timestep_);
            thermostat_->between_drifts(p, timestep_, step_);
            p.drift(0.5 * timestep_);
        } else {
            p.drift(timestep_);
        }
        evaluate(virials_due);
        p.kick(0.5 * timestep_);
        thermostat_->after_step(p, timestep_, step_);
    }

    void deform(bool virials_due) {
        const double before = particles_.kinetic() + potential_energy_, volume = particles_.volume();
        Matrix3 pressure = particles_.internal_pressure(virial_);
        for (Vector3& row : pressure)
            for (double& element : row) element /= volume;
        particles_.deform(barostat_->deformation(pressure, volume, timestep_, step_));
        evaluate(virials_due);
        barostat_->energy += particles_.kinetic() + potential_energy_ - before;
    }

    void evaluate(bool want_virials) {
        up_to_date_ = false;  // should anything below throw
        const auto start = Clock::now();
        spent_.lists += evaluator_.update(particles_.positions.data(), particles_.species.data(), particles_.size(), particles_.cell, particles_.periodic);
        const auto listed = Clock::now();
        const double nearest = evaluator_.run(energies_.data(), particles_.forces.data(), want_virials ? virials_.data() : nullptr, virial_);
        spent_.neighbours += std::chrono::duration<double>(listed - start).count();
        spent_.forces += seconds_since(listed);
        ++spent_.evaluations;
        shortest_ = std::min(shortest_, nearest);
        potential_energy_ = 0.0;
        for (const double e : energies_) potential_energy_ += e;
        up_to_date_ = true;
    }

    void sample(const Sampling& s, std::int64_t now, Samples& out) const {
        if (s.due(s.positions, now)) {
            add_atoms(out.positions, particles_.positions, s.position_atoms);
            const Vector3 centre = particles_.centre_of_mass();
            out.centres.insert(out.centres.end(), centre.begin(), centre.end());
            add_cell(out.position_cells, particles_.cell);
        }
        if (s.due(s.snapshots, now)) {
            out.snapshots.insert(out.snapshots.end(), particles_.positions.begin(), particles_.positions.end());
            out.snapshot_forces.insert(out.snapshot_forces.end(), particles_.forces.begin(), particles_.forces.end());
        }
        if (s.due(s.velocities, now)) add_atoms(out.velocities, particles_.velocities, s.velocity_atoms);
        if (s.due(s.thermo, now)) {
            add_thermo(out.thermo, particles_, potential_energy_, virial_, energy_of_baths());
            add_cell(out.cells, particles_.cell);
        }
        if (s.due(s.currents, now)) add_currents(out.currents, particles_, potential().n_species(), energies_.data(), virials_.data());
        if (s.due(s.profile, now)) add_profile(out.profile, particles_, s.slabs, energies_.data(), virials_.data());
    }

    Particles particles_;
    Evaluator evaluator_;
    double timestep_;
    std::unique_ptr<Thermostat> thermostat_;
    std::unique_ptr<Barostat> barostat_;
    std::uint64_t step_ = 0;
    bool up_to_date_ = false;
    std::vector<double> energies_, virials_;
    double virial_[9] = {}, potential_energy_ = 0.0, shortest_ = 0.0;
    TimeSpent spent_;
};

}  // namespace iontherm
