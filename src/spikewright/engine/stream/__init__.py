"""Networks that take one step at a time, compiled into one kernel."""
