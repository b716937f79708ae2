// The interface of LAMMPS's plugins as its manual describes it (section "Writing plugins"): LAMMPS installations carry no
// header of it.
#pragma once

extern "C" {

typedef void* LammpsPluginFactory(void* lammps);  // of a pair style

struct LammpsPlugin {
    const char* version;  // of the LAMMPS whose headers the plugin was compiled with
    const char* style;    // kind of the style: "pair"
    const char* name;     // its name in input files
    const char* info;
    const char* author;
    LammpsPluginFactory* create;
    void* handle;
};

typedef void LammpsPluginRegister(LammpsPlugin*, void* lammps);

// What `plugin load` looks up and calls.
void lammpsplugin_init(void* lammps, void* handle, void* register_plugin);
}
