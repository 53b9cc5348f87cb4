"""The discrete program itself as a target, in any number format, run by the engine's kernels."""
