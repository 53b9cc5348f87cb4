"""Discrete programs run in software: by the engine's kernels, and plainly as the judge."""
