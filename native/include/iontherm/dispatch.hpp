// Which compiled sweeps this machine can run.
#pragma once

#include <string>
#include <vector>

#include "iontherm/views.hpp"

namespace iontherm {

// Sweeps this machine can run, the fastest first; never empty where the package was built for this machine.
std::vector<const Sweeps*> available_sweeps();

// The fastest, or the one named; throws std::invalid_argument if this machine cannot run it.
const Sweeps& choose_sweeps(const std::string& name = "");

}  // namespace iontherm
