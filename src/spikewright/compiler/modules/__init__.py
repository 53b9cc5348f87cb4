"""Trained modules compiled for targets that take them: samples in, no time axis."""
