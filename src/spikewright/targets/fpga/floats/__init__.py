"""The trained network in real numbers: read from a module, tidied and checked."""
