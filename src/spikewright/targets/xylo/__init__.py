"""Xylo: digital chips of SynSense for spiking networks on signals, below a milliwatt."""
