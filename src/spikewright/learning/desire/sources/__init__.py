"""Kernels of desire backpropagation, compiled when first used."""
