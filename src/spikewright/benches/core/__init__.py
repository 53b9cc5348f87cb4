"""What benchmarks are made of: timing and rows."""
