// MIT licence. Compiled, this file is a combined work with LAMMPS, which is under the GNU GPL version 2: see README.md.
#include "plugin_interface.h"

#include <cstring>

#include "error.h"
#include "lammps.h"
#include "library.h"

#include "pair_iontherm_mtp.hpp"

using namespace LAMMPS_NS;

namespace {

void* create_pair_style(void* lammps) {
    // By way of its base class, which is what LAMMPS takes it for.
    return static_cast<Pair*>(new PairIonthermMtp(static_cast<LAMMPS*>(lammps)));
}

}  // namespace

extern "C" __attribute__((visibility("default"))) void lammpsplugin_init(void* lammps, void* handle, void* register_plugin) {
    LAMMPS* lmp = static_cast<LAMMPS*>(lammps);
    // Its classes would be laid out differently: better no plugin than wrong numbers.
    if (std::strcmp(lmp->version, IONTHERM_LAMMPS_DATE) != 0)
        lmp->error->all(FLERR, "iontherm_mtp.so was compiled with the headers of LAMMPS {}: compile it again with those of this LAMMPS, {}",
                        IONTHERM_LAMMPS_DATE, lmp->version);
    if (lammps_extract_setting(lammps, "tagint") != sizeof(tagint))
        lmp->error->all(FLERR, "iontherm_mtp.so was compiled for other sizes of integers than this LAMMPS: compile it again with -DLAMMPS_SIZES={}",
                        sizeof(tagint) == 4 ? "bigbig" : "smallbig");
    LammpsPlugin plugin{};
    plugin.version = IONTHERM_LAMMPS_DATE;
    plugin.style = "pair";
    plugin.name = "iontherm/mtp";
    plugin.info = "moment tensor potentials with exact heat currents and extrapolation grades";
    plugin.author = "the aiida-iontherm developers";
    plugin.create = &create_pair_style;
    plugin.handle = handle;
    reinterpret_cast<LammpsPluginRegister*>(register_plugin)(&plugin, lammps);
}
