"""From a batch to events for the chip, and from what it shows back to the network's grid."""
