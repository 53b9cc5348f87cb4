"""Time loops over samples, compiled."""
