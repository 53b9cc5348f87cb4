"""Which accelerator to build: all that could be, what each costs, and the best for a board."""
