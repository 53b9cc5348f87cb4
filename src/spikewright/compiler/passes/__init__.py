"""Passes over a discrete program, one verb a file."""
