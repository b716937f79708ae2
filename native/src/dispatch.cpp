#include "iontherm/dispatch.hpp"

#include <stdexcept>

namespace iontherm {

#if defined(IONTHERM_HAVE_X86)
namespace x86_64_v2 {
extern const Sweeps sweeps;
}
namespace x86_64_v3 {
extern const Sweeps sweeps;
}
namespace x86_64_v4 {
extern const Sweeps sweeps;
}
#elif defined(IONTHERM_HAVE_NEON)
namespace neon {
extern const Sweeps sweeps;
}
#else
namespace generic {
extern const Sweeps sweeps;
}
#endif

std::vector<const Sweeps*> available_sweeps() {
    std::vector<const Sweeps*> found;
#if defined(IONTHERM_HAVE_X86)
    __builtin_cpu_init();
    const bool v2 = __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("popcnt");
    const bool v3 = v2 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi") &&
                    __builtin_cpu_supports("bmi2");
    const bool v4 = v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
                    __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512cd");
    if (v4) found.push_back(&x86_64_v4::sweeps);
    if (v3) found.push_back(&x86_64_v3::sweeps);
    if (v2) found.push_back(&x86_64_v2::sweeps);
#elif defined(IONTHERM_HAVE_NEON)
    found.push_back(&neon::sweeps);
#else
    found.push_back(&generic::sweeps);
#endif
    return found;
}

const Sweeps& choose_sweeps(const std::string& name) {
    const auto found = available_sweeps();
    std::string names;
    for (const Sweeps* sweeps : found) {
        if (name.empty() || name == sweeps->name) return *sweeps;
        names += std::string(names.empty() ? "" : ", ") + sweeps->name;
    }
    throw std::invalid_argument("this processor runs no sweeps called '" + name + "', only: " + (names.empty() ? "none" : names));
}

}  // namespace iontherm
