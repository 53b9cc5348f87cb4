"""Targets, one folder each: limits, check, lowering, twin, artefact."""
