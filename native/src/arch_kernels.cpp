// The sweeps for one instruction set; compiled once per set with IONTHERM_ARCH and IONTHERM_LANES (see CMakeLists.txt).
#include "iontherm/displacement_sweep.hpp"
#include "iontherm/fourier_sweep.hpp"
#include "iontherm/pair_sweep.hpp"
#include "iontherm/run_sweep.hpp"
#include "iontherm/training_sweeps.hpp"

#define IONTHERM_TEXT_OF(name) #name
#define IONTHERM_TEXT(name) IONTHERM_TEXT_OF(name)

namespace iontherm {
namespace IONTHERM_ARCH {

extern const Sweeps sweeps;
const Sweeps sweeps = {IONTHERM_TEXT(IONTHERM_ARCH), lanes, &run, &gradient, &atom_gradients, &design,
                       &fourier, &pair_totals, &pair_modes, &pair_density, &displacements};

}  // namespace IONTHERM_ARCH
}  // namespace iontherm
