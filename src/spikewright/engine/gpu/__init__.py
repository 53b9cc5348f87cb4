"""The GPU backend: the same steps printed as Triton kernels."""
