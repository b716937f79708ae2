// Constant pressure by stochastic rescaling of the cell: M. Bernetti and G. Bussi, J. Chem. Phys. 153, 114107 (2020), for the
// volume; V. Del Tatto, P. Raiteri, M. Bernetti and G. Bussi, Appl. Sci. 12, 1139 (2022), for the shape.
//
// Every so many steps positions, cell and inverse velocities are multiplied by exp(strain), with
//     strain_ab = -(t / (3 tau B)) (P0 delta_ab - P_ab) + sqrt(2 kT t / (3 V tau B)) xi_ab,
// t the time since the last time, B the bulk modulus. As a product of exponentials the noise is that of Stratonovich, and the
// terms kT/V of Ito's form are gone. A strain is symmetric: the antisymmetric part of the noise would only turn the crystal.
// What the three kinds have in common is that ln V, where it moves, follows the equation of the first paper, and that the
// density is V exp(-(F + P0 V)/kT) for the invariant measure of the matrices allowed; in the volume it is exp(-(F + P0 V)/kT).
#pragma once

#include <cmath>
#include <cstdint>
#include <stdexcept>
#include <string>

#include "iontherm/matrix3.hpp"
#include "iontherm/random_numbers.hpp"

namespace iontherm {

enum class CellFreedom { volume, edges, shape };

inline CellFreedom to_cell_freedom(const std::string& name) {
    if (name == "isotropic") return CellFreedom::volume;
    if (name == "orthorhombic") return CellFreedom::edges;
    if (name == "triclinic") return CellFreedom::shape;
    throw std::invalid_argument("there is no barostat " + name + ": it is isotropic, orthorhombic or triclinic");
}

class Barostat {
  public:
    // `time` is the relaxation time of the volume if the bulk modulus is right; their product alone matters.
    Barostat(CellFreedom freedom, double pressure, double kt, double time, double bulk_modulus, int stride, std::uint64_t seed)
        : freedom_(freedom), pressure_(pressure), kt_(kt), product_(time * bulk_modulus), stride_(stride), random_(seed, Purpose::barostat) {
        if (!(kt > 0.0) || !(time > 0.0) || !(bulk_modulus > 0.0) || stride < 1)
            throw std::invalid_argument("a barostat needs a positive temperature, time, bulk modulus and stride");
    }

    bool due(std::uint64_t step) const { return step % stride_ == 0; }

    // Pressure is the tensor of the moment.
    Matrix3 deformation(const Matrix3& pressure, double volume, double timestep, std::uint64_t step) const {
        constexpr double largest = 0.1;
        const double time = stride_ * timestep, mobility = time / (3.0 * product_), width = std::sqrt(2.0 * mobility * kt_ / volume);
        const std::array<double, 4> first = random_.normal(step, 0), second = random_.normal(step, 1);
        Matrix3 strain{};
        if (freedom_ == CellFreedom::volume) {
            const double mean = (pressure[0][0] + pressure[1][1] + pressure[2][2]) / 3.0;
            // A third of the change of ln V, whose noise is that of three independent edges.
            const double third = mobility * (mean - pressure_) + width * first[0] / std::sqrt(3.0);
            for (int a = 0; a < 3; ++a) strain[a][a] = third;
        } else {
            for (int a = 0; a < 3; ++a) strain[a][a] = mobility * (pressure[a][a] - pressure_) + width * first[a];
        }
        if (freedom_ == CellFreedom::shape)
            for (int a = 0; a < 3; ++a)
                for (int b = 0; b < a; ++b) {
                    const double mean = 0.5 * (pressure[a][b] + pressure[b][a]);
                    strain[a][b] = strain[b][a] = mobility * mean + width * std::sqrt(0.5) * second[a + b - 1];
                }
        for (const Vector3& row : strain)
            for (const double element : row)
                if (!(std::fabs(element) < largest))
                    throw std::invalid_argument("the cell would change by more than 10 % at once: the barostat needs a longer time or a larger bulk modulus");
        return exponential(strain);
    }

    double energy = 0.0;  // given to the atoms

  private:
    CellFreedom freedom_;
    double pressure_, kt_, product_;
    int stride_;
    RandomNumbers random_;
};

}  // namespace iontherm
