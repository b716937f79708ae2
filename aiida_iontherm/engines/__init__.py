"""Who supplies reference energies, forces and stresses.

Two faces: `engines.embedded` computes inside a task process (no AiiDA); `engines.builders` fills in AiiDA processes.
"""
