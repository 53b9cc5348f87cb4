"""The chip in whole numbers: plainly as the judge, and by the engine's kernels."""
