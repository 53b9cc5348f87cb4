"""BrainScaleS-2: an analogue chip of 512 accelerated neuron circuits, and its twin."""
