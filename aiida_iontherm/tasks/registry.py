"""Tasks by name. A new task is one module with ``Input`` and ``run`` and one line here."""

TASKS = {
    "barrier": ("aiida_iontherm.tasks.barrier", "migration barriers by elastic bands, potential well of one ion"),
    "reference": ("aiida_iontherm.tasks.reference", "relax, sample or label structures with an embedded engine"),
    "train": ("aiida_iontherm.tasks.train", "train a moment tensor potential on labelled configurations"),
    "md": ("aiida_iontherm.tasks.md", "molecular dynamics with observables reduced on the fly"),
    "lammps-md": ("aiida_iontherm.tasks.lammps_md", "the same by LAMMPS: writes its input, then reduces its output"),
    "nemd": ("aiida_iontherm.tasks.nemd", "thermal conductivity of a cell of one length by heat exchange"),
    "lammps-nemd": (
        "aiida_iontherm.tasks.lammps_nemd",
        "the same by LAMMPS: writes its input, then reduces its output",
    ),
    "select": ("aiida_iontherm.tasks.select", "choose the configurations of exploration runs to label"),
    "force-constants": ("aiida_iontherm.tasks.force_constants", "effective force constants from MD snapshots"),
    "lattice-conductivity": (
        "aiida_iontherm.tasks.lattice_conductivity",
        "phonons, three-phonon linewidths and velocity operators on a mesh",
    ),
}
