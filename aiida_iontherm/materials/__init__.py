"""Starter compounds with their sources, published values, and the way from any structure file to a cell to compute."""
