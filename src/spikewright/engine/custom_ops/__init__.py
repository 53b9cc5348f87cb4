"""The engine's operations registered with PyTorch, for its compiler and function transforms."""
