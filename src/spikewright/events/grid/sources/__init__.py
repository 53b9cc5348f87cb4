"""Kernels of the grid, compiled when first used."""
