"""What runs on a compute node: plain files in, plain files out, no AiiDA.

Executable ``iontherm-task NAME``, started in a working directory; the contract is in `tasks.contract`.
"""
