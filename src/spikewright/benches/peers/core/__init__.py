"""What the frameworks on PyTorch share: networks of their neurons, data and training step."""
