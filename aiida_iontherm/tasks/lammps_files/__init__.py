"""What LAMMPS reads and writes for the tasks that move atoms with it: pure functions from text and arrays to others."""
