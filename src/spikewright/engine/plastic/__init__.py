"""Weights that change while the network runs, in the same compiled loop over time."""
