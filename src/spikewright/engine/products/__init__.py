"""Products with spikes, dense or event by event: the lists, the costs and the choice."""
