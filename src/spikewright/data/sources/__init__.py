"""Kernels, compiled by Numba when first imported."""
