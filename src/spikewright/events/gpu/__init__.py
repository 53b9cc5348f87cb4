"""Exact events on a GPU: kernels in Triton, and what calls them."""
