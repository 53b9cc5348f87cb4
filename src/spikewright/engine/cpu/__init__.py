"""The CPU backend: steps printed as Numba kernels, run on the engine's own threads."""
