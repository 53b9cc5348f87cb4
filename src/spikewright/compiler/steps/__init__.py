"""From a neuron's step to instructions, and from instructions to a step."""
