"""What the numbers mean: NumPy arrays in, NumPy arrays or small frozen dataclasses out.

Nothing here knows AiiDA, a command line, a plot or (but for the readers of ``mtp``) a file path.
"""
