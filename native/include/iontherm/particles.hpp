// Atoms in motion. Units are any consistent set: mass times velocity squared is an energy.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <vector>

#include "iontherm/matrix3.hpp"
#include "iontherm/neighbour_list.hpp"

namespace iontherm {

class Particles {
  public:
    // A frozen atom has no rate of change of its velocity: no loop needs to ask.
    Particles(const std::int32_t* species, const double* masses, const bool* frozen, std::size_t n, const Cell& cell,
              const std::array<bool, 3>& periodic)
        : positions(3 * n), velocities(3 * n), forces(3 * n), masses(masses, masses + n), inverse_masses(3 * n), species(species, species + n),
          cell(cell), periodic(periodic) {
        for (std::size_t i = 0; i < n; ++i) {
            if (!(masses[i] > 0.0)) throw std::invalid_argument("masses must be positive");
            for (int a = 0; a < 3; ++a) inverse_masses[3 * i + a] = frozen[i] ? 0.0 : 1.0 / masses[i];
            n_frozen_ += frozen[i];
            total_mass_ += masses[i];
        }
        if (degrees() <= 0) throw std::invalid_argument("no atom can move: two free atoms are needed, or one beside frozen ones");
    }

    std::size_t size() const { return masses.size(); }
    bool is_frozen(std::size_t i) const { return inverse_masses[3 * i] == 0.0; }

    // Frozen atoms hold the others in place; without them the centre of mass is at rest and has no share of the heat.
    bool free_to_drift() const { return n_frozen_ == 0; }
    int degrees() const { return 3 * static_cast<int>(size() - n_frozen_) - (free_to_drift() ? 3 : 0); }

    void kick(double time) {
        for (std::size_t k = 0; k < velocities.size(); ++k) velocities[k] += time * inverse_masses[k] * forces[k];
    }

    void drift(double time) {
        for (std::size_t k = 0; k < positions.size(); ++k) positions[k] += time * velocities[k];
    }

    void scale_velocities(double factor) {
        for (double& v : velocities) v *= factor;
    }

    double kinetic() const {
        double twice = 0.0;
        for (std::size_t i = 0; i < size(); ++i) {
            const double* v = &velocities[3 * i];
            twice += masses[i] * (v[0] * v[0] + v[1] * v[1] + v[2] * v[2]);
        }
        return 0.5 * twice;
    }

    // Positions and cell are multiplied by a matrix, velocities by its inverse, so that scaled coordinates and their momenta
    // stay what they are. The matrix is symmetric.
    void deform(const Matrix3& matrix) {
        const Matrix3 back = inverse(matrix);
        for (std::size_t i = 0; i < size(); ++i) {
            apply(matrix, &positions[3 * i]);
            apply(back, &velocities[3 * i]);
        }
        for (Vector3& row : cell) apply(matrix, row.data());
    }

    // Volume times the tensor of the pressure; `virial` is that of the forces, with the sign of a stress.
    Matrix3 internal_pressure(const double* virial) const {
        Matrix3 sum;
        for (int a = 0; a < 3; ++a)
            for (int b = 0; b < 3; ++b) sum[a][b] = -0.5 * (virial[3 * a + b] + virial[3 * b + a]);
        for (std::size_t i = 0; i < size(); ++i) {
            const double* v = &velocities[3 * i];
            for (int a = 0; a < 3; ++a)
                for (int b = 0; b < 3; ++b) sum[a][b] += masses[i] * v[a] * v[b];
        }
        return sum;
    }

    double volume() const { return std::fabs(dot(cross(cell[0], cell[1]), cell[2])); }

    // Take the velocity of the centre of mass from all atoms. In mass-weighted coordinates this is an orthogonal projection:
    // of independent normal velocities it leaves those of the canonical ensemble with the centre at rest.
    void stop_drift() {
        if (!free_to_drift()) return;
        Vector3 momentum{};
        for (std::size_t i = 0; i < size(); ++i)
            for (int a = 0; a < 3; ++a) momentum[a] += masses[i] * velocities[3 * i + a];
        for (double& x : momentum) x /= total_mass_;
        for (std::size_t i = 0; i < size(); ++i)
            for (int a = 0; a < 3; ++a) velocities[3 * i + a] -= momentum[a];
    }

    Vector3 centre_of_mass() const {
        Vector3 sum{};
        for (std::size_t i = 0; i < size(); ++i)
            for (int a = 0; a < 3; ++a) sum[a] += masses[i] * positions[3 * i + a];
        for (double& x : sum) x /= total_mass_;
        return sum;
    }

    std::vector<double> positions, velocities, forces;  // [n, 3], positions not wrapped
    std::vector<double> masses, inverse_masses;         // [n] and [n, 3]
    std::vector<std::int32_t> species;
    Cell cell;
    std::array<bool, 3> periodic;

  private:
    std::size_t n_frozen_ = 0;
    double total_mass_ = 0.0;
};

}  // namespace iontherm
