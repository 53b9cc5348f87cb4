"""From a network to what a target runs: the discrete program, its front ends and its passes."""
