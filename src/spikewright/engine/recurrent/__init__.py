"""Recurrent layers: a whole sequence, with its spikes sent back, in one kernel a direction."""
