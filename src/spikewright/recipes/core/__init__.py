"""What recipes are made of, and what is done with one: run, examine, reproduce, report."""
