import phono3py

from aiida_iontherm.physics.lattice import (
    Phonons,
    ThreePhononScattering,
    phonopy_from_phono3py,
    three_phonon_gamma,
    two_channel,
)

crystal = phono3py.load("phono3py_disp.yaml", log_level=0)  # reads FORCES_FC3 beside it, makes fc2 and fc3
temperatures = [200, 300, 400]

scattering = ThreePhononScattering(crystal, mesh=(9, 9, 9), temperatures=temperatures)
gamma_thz = three_phonon_gamma(scattering)  # [T, q, s], half widths in THz

phonons = Phonons.from_phonopy(
    phonopy_from_phono3py(crystal), qpoints=scattering.qpoints, weights=scattering.weights
)
kappa = two_channel(phonons, gamma_thz, temperatures)

for i, temperature in enumerate(temperatures):
    particle, wave = kappa.particle[i, 0, 0], kappa.wave[i, 0, 0]
    print(f"{temperature} K: {particle:.2f} + {wave:.3f} W/(m K)")
