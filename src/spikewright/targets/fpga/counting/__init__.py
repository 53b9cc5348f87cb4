"""What an accelerator does during an inference, counted from its instructions alone."""
