"""From a discrete program to the configuration of a chip."""
