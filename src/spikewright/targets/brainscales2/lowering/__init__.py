"""From a discrete program to what is written to the chip."""
