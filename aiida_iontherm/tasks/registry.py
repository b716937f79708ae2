"""Tasks by name. A new task is one module with ``Input`` and ``run`` and one line here."""

TASKS = {
    "reference": ("aiida_iontherm.tasks.reference", "relax, sample or label structures with an embedded engine"),
    "train": ("aiida_iontherm.tasks.train", "train a moment tensor potential on labelled configurations"),
    "md": ("aiida_iontherm.tasks.md", "molecular dynamics with observables reduced on the fly"),
    "select": ("aiida_iontherm.tasks.select", "choose the configurations of exploration runs to label"),
    "force-constants": ("aiida_iontherm.tasks.force_constants", "effective force constants from MD snapshots"),
    "lattice-conductivity": (
        "aiida_iontherm.tasks.lattice_conductivity",
        "phonons, three-phonon linewidths and velocity operators on a mesh",
    ),
}
